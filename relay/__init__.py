"""Relay: an SMTP connector appliance.

Mail comes in (`inbound`), is kept safe on disk (`spool`), is taken when due (`transfer`) and handed to the provider
(`upstream`). The folder listing is the path that a message takes; what operates the path sorts before it.
"""
