"""The simulator's decisions."""
