"""The `relay` command: one module a command group."""
