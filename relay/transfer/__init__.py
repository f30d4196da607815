"""Takes what is due from the spool, offers it upstream, settles what came of it. The flow: `docs/message-path.md`."""
