"""Tests of Relay: decisions as tables, conversations, stories against the real process, and peers we did not write."""
