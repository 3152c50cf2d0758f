"""What users set themselves, and looking it up: devices and preferences."""
