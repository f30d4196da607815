"""The simulator met by real clients, over sockets."""
