"""A provider's limits, kept over real minutes: `make limits`, which `make test` runs beside everything else."""
