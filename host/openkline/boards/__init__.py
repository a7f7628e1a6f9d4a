"""Which boards there are: chips, pins, interfaces, flash offsets."""
