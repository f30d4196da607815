"""What waits beyond its time: found in steps, since an index for it would cost something with every message."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, and_, or_, select

from relay.envelope import Notify
from relay.spool.pauses import Pauses, held_for
from relay.spool.records import RecipientState
from relay.spool.schema import WAITING, gates, messages, recipients

STEP: Final = 5_000
"""Recipients looked through at once: some milliseconds."""

_MOST: Final = 50
_QUEUED: Final = RecipientState.QUEUED.value


def overdue(
    connection: Connection, upstream: str, after: str, now: int, untold_before_at: int
) -> tuple[list[str], str | None]:
    """Look through the next of what is due at an upstream; return IDs, and behind which to go on, None at the end.

    Meant are messages to be given up by now, and those accepted up to `untold_before_at` whose sender asked to hear of
    a delay and has not. While the upstream is held nothing is given up.
    """
    r, m = recipients.c, messages.c
    behind = [r.upstream == upstream, WAITING, r.message > after]
    last = connection.execute(select(r.message).where(*behind).order_by(r.message).offset(STEP - 1).limit(1)).scalar()
    if last is not None:
        behind.append(r.message <= last)
    asked = and_(r.notify.bitwise_and(Notify.DELAY.value) != 0, r.delay_told.is_(False))
    late = m.accepted_at <= untold_before_at
    untold = and_(asked, late, m.notice.is_(False), m.reverse_path.is_not(None)).label("untold")
    held = connection.execute(select(gates.c.upstream).where(gates.c.upstream == upstream)).first() is not None
    meant = untold if held else or_(r.give_up_at <= now, untold)
    # The state is a value here, lest SQLite take the index of what is queued, and sort. What the recipient's row tells
    # stands alone as well: most messages are then not looked at.
    behind += [r.state == _QUEUED, r.next_attempt_at <= now, asked if held else or_(r.give_up_at <= now, asked)]
    found = connection.execute(
        select(r.message, r.give_up_at, m.accepted_at, untold)
        .join(messages, m.id == r.message)
        .where(*behind, meant)
        .order_by(r.message)
        .limit(_MOST)
    ).all()
    spans = Pauses(connection).of(upstream) if found else ()
    ids = [row.message for row in found if row.untold or row.give_up_at + held_for(spans, row.accepted_at) <= now]
    return list(dict.fromkeys(ids)), found[-1].message if len(found) == _MOST else last
