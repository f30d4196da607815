"""Mail that Relay is responsible for, safe across a crash. `docs/spool.md` is the page of legal states.

| a recipient is | by | and becomes | by |
| --- | --- | --- | --- |
| QUEUED | put, a deferral, release, an ended lease | IN_FLIGHT | claim |
| | | HELD, REMOVED | an operator |
| IN_FLIGHT | claim | RELAYED, FAILED, QUEUED, HELD | settle |
| | | QUEUED (or as an operator wished) | give_back, an expired lease, a restart of its node |
| HELD | settle, an operator | QUEUED, REMOVED | an operator |
| RELAYED, FAILED, REMOVED | settle, an operator | forgotten | the end of `keep_trace` |
"""
