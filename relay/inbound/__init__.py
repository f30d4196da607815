"""Mail comes in: from the first octet of a connection to the moment at which we are responsible for a message.

`listeners` is the door for others; `listener` → `protocol` (octets) → `session` (commands) → `reception` (content) →
`acceptance` (the spool). Decisions are pure, in `admission`, `authentication`, `limits`, `received`, `routing`.
"""
