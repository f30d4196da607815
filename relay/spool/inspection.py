"""The face of the spool that operators see."""
