"""The conversation with the provider. It reports what was said and decides nothing."""
