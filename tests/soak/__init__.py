"""Rounds of kill -9 under load: nothing that got its 250 is lost or damaged, and nothing comes twice without cause."""
