"""A message as octets: its header fields, its addresses and names, its MIME structure. Pure; nothing here decides."""
