"""Mail we are responsible for, safe across a crash. States and transitions: `docs/spool.md`."""
