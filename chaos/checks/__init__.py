"""The promises, one file each. Pure: evidence in, violations out."""
