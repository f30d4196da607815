"""Measurements side by side with Postfix; `python -m bench`."""
