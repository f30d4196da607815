"""The measurements' own arithmetic and tables."""
