"""What `inbound` raises."""


class InboundError(Exception):
    """A listener cannot be opened: its address is taken or not ours, or its certificate cannot be used.

    The text names the listener and the address or file, and is fit for an operator.
    """
