"""The rig's own decisions."""
