"""What the operator decides: the settings, where they come from, and the secrets that they refer to."""
