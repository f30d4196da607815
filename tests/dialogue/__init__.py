"""Whole conversations, each a file: `conversation` says how they are written, `test_dialogues` plays them."""
