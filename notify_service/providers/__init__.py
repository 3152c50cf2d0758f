"""How each kind of device is reached, one file each."""
