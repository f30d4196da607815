"""Failures that providers and networks bring about, and what Relay has to say of each."""
