"""Inputs nobody thought of: parsers against slow and obvious references. `make fuzz` gives them more time."""
