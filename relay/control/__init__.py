"""How commands reach a running `serve`: a socket in state_dir, and the answers that they get."""
