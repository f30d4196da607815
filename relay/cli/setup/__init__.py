"""`relay setup`: questions that end in a relay.toml, and what the provider's administrator has to do."""
