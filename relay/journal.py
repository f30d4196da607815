"""One method per mail event: it writes the log line and moves the counter, so that the two never drift."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from relay.address import ReversePath, login_name
from relay.diagnosis.diagnosis import Diagnosis
from relay.logs import Log
from relay.metrics import MECHANISMS, MOVES, REFUSALS, Metrics
from relay.reply import Reply
from relay.spool.contract import Arrival
from relay.spool.records import Claim, Gate, HoldReason, RecipientState, Settlement


def _path(reverse_path: ReversePath) -> str:
    return str(reverse_path) if reverse_path else "<>"


class Journal:
    """Tells of mail events. Methods never raise and take microseconds."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = Log("relay")
        # What moves with every message is not looked up anew for each.
        self._connections = cache(metrics.connections.labels)
        self._authentications = cache(metrics.authentications.labels)
        self._accepted = cache(metrics.accepted.labels)
        self._settled = cache(metrics.settled.labels)
        self._delivery = cache(metrics.delivery.labels)

    def prepare(self, listeners: Iterable[str], clients: Iterable[str], upstreams: Iterable[str]) -> None:
        """Create the series of everything configured, so that a dashboard sees zeros instead of gaps."""
        m = self._metrics
        clients = list(clients)
        for listener in listeners:
            m.connections.labels(listener)
            for mechanism in MECHANISMS:
                for outcome in ("success", "failure"):
                    m.authentications.labels(listener, mechanism, outcome)
            for client in clients:
                m.accepted.labels(listener, client)
            for reason in REFUSALS:
                m.refused.labels(listener, reason)
        for upstream in upstreams:
            for outcome in ("relayed", "deferred", "failed"):
                m.settled.labels(upstream, outcome)
            m.delivery.labels(upstream)
            m.upstream_up.labels(upstream)
            m.upstream_connections.labels(upstream)
            m.upstream_failover.labels(upstream)
            for reason in MOVES:
                m.moved.labels(upstream, reason)
            m.queue_oldest.labels(upstream)
            for state in (RecipientState.QUEUED, RecipientState.IN_FLIGHT, RecipientState.HELD):
                m.queue_recipients.labels(upstream, state)
            for reason_held in HoldReason:
                m.upstream_held.labels(upstream, reason_held)

    def connection_opened(self, listener: str) -> None:
        """A client connected. Debug only: load balancers probe every few seconds."""
        self._connections(listener).inc()

    def connection_closed(self, listener: str, peer: str, reason: str) -> None:
        """A client's connection ended, in whatever way; `reason` is a fixed word."""
        self._connections(listener).dec()
        self._log.write(logging.DEBUG, "disconnected", {"listener": listener, "peer": peer, "reason": reason})

    def authenticated(self, listener: str, client: str, mechanism: str, peer: str) -> None:
        """An application logged in."""
        self._authentications(listener, _mechanism(mechanism), "success").inc()
        values = {"listener": listener, "client": client, "mechanism": mechanism, "peer": peer}
        self._log.write(logging.INFO, "authenticated", values)

    def authentication_failed(
        self, listener: str, mechanism: str, username: str, peer: str, reply: Reply, *, client: str, fault: str
    ) -> None:
        """A login failed. Of `username` only an address is shown as one: people type passwords there.

        `client` is whose user name it is, empty where nobody's; `fault` is a fixed word: username, password, network.
        """
        self._authentications(listener, _mechanism(mechanism), "failure").inc()
        values = {
            "listener": listener,
            "mechanism": _mechanism(mechanism),
            "username": login_name(username),
            "fault": fault,
            "peer": peer,
            "reply": str(reply),
        }
        if client:
            values["client"] = client
        self._log.write(logging.WARNING, "authentication_failed", values)

    def accepted(self, arrival: Arrival, seconds: float) -> None:
        """A message got its 250; `seconds` from the final dot."""
        origin = arrival.origin
        self._accepted(origin.listener, origin.client).inc()
        self._metrics.acceptance.observe(seconds)
        values = {
            "id": arrival.id,
            "client": origin.client,
            "listener": origin.listener,
            "peer": origin.peer,
            "upstream": arrival.candidates[0],
            "sender": _path(arrival.envelope.reverse_path),
            "recipients": [str(row.forward_path) for row in arrival.envelope.recipients],
            "size": arrival.size,
        }
        self._log.write(logging.INFO, "accepted", values)

    def refused(
        self,
        listener: str,
        reason: str,
        reply: Reply,
        *,
        peer: str,
        client: str | None = None,
        sender: str | None = None,
        recipient: str | None = None,
    ) -> None:
        """A command or message was refused for one of `metrics.REFUSALS`."""
        self._metrics.refused.labels(listener, reason).inc()
        values = {
            "listener": listener,
            "client": client,
            "peer": peer,
            "reason": reason,
            "reply": str(reply),
            "sender": sender,
            "recipient": recipient,
        }
        self._log.write(logging.WARNING, "refused", values)

    def settled(
        self,
        claim: Claim,
        settlements: Sequence[Settlement],
        at: int,
        diagnoses: Mapping[int, Diagnosis] | None = None,
    ) -> None:
        """An attempt's outcome was recorded; one line an outcome, with all its recipients.

        `diagnoses` are those of the recipients that failed, by position.
        """
        paths = {row.position: str(row.recipient.forward_path) for row in claim.recipients}
        message = claim.message
        groups: dict[tuple[str, str | None], list[Settlement]] = {}
        for one in settlements:
            groups.setdefault((one.event, str(one.reply) if one.reply else None), []).append(one)
        for (event, reply), rows in groups.items():
            outcome = event if event in {"relayed", "failed"} else "deferred"
            self._settled(claim.upstream, outcome).inc(len(rows))
            if outcome == "relayed":
                for _ in rows:
                    # A clock that was set back meanwhile would take from the sum, which Prometheus reads as a restart.
                    self._delivery(claim.upstream).observe(max(0, at - message.accepted_at) / 1000)
            values: dict[str, object] = {
                "id": message.id,
                "client": message.origin.client,
                "listener": message.origin.listener,
                "upstream": claim.upstream,
                "reply": reply,
                "sender": _path(message.reverse_path),
                "recipients": [paths[row.position] for row in rows],
                "next_attempt_at": rows[0].next_attempt_at,
                "attempts": claim.recipients[0].attempts,
            }
            if diagnoses:
                values |= _reason(diagnoses.get(rows[0].position))
            self._log.write(logging.INFO if outcome == "relayed" else logging.WARNING, event, values)

    def notice_put(self, notice: Arrival, about: str, kind: str) -> None:
        """A bounce, delay notice or success notice about message `about` was put into the queue."""
        values = {
            "id": notice.id,
            "about": about,
            "kind": kind,
            "upstream": notice.candidates[0],
            "recipients": [str(row.forward_path) for row in notice.envelope.recipients],
        }
        self._log.write(logging.INFO, "notice", values)

    def moved(self, id_: str, client: str, source: str, target: str, recipients: int, reason: str, why: Reply) -> None:
        """Recipients of a message went from one upstream's queue to another's, for one of `metrics.MOVES`."""
        self._metrics.moved.labels(source, reason).inc(recipients)
        values = {"id": id_, "client": client, "upstream": target, "from": source, "reply": str(why)}
        self._log.write(logging.INFO, "moved", values)

    def failing_over(self, upstream: str, ways: Mapping[str, str], since_at: int) -> None:
        """The mail of clients goes by other upstreams; `ways` are these by client, `since_at` when this one failed."""
        self._metrics.upstream_failover.labels(upstream).set(1)
        values = {"upstream": upstream, "by": dict(ways), "since_at": since_at}
        self._log.write(logging.WARNING, "failover", values)

    def failover_over(self, upstream: str) -> None:
        """The upstream gets its mail back."""
        self._metrics.upstream_failover.labels(upstream).set(0)
        self._log.write(logging.INFO, "failover_over", {"upstream": upstream})

    def upstream_held(self, gate: Gate, diagnosis: Diagnosis) -> None:
        """An upstream was held, or a probe of it failed again."""
        for reason in HoldReason:
            self._metrics.upstream_held.labels(gate.upstream, reason).set(1 if reason is gate.reason else 0)
        values = {
            "upstream": gate.upstream,
            "reason": gate.reason.value,
            "reply": str(gate.reply) if gate.reply else None,
            "next_probe_at": gate.next_probe_at,
            "probes": gate.probes,
            **_reason(diagnosis),
        }
        self._log.write(logging.ERROR, "held", values)

    def upstream_released(self, upstream: str) -> None:
        """A held upstream works again or was released."""
        for reason in HoldReason:
            self._metrics.upstream_held.labels(upstream, reason).set(0)
        self._log.write(logging.INFO, "released", {"upstream": upstream})

    def upstream_up(self, upstream: str, *, up: bool) -> None:
        """The last conversation got past AUTH, or did not."""
        self._metrics.upstream_up.labels(upstream).set(1 if up else 0)

    def upstream_connections(self, upstream: str, count: int) -> None:
        """Connections open to an upstream now."""
        self._metrics.upstream_connections.labels(upstream).set(count)

    def quota_used(self, upstream: str, quota: str, ratio: float) -> None:
        """Share of an upstream's limit in use, 0 to 1."""
        self._metrics.quota_used.labels(upstream, quota).set(ratio)

    def told(self, event: str, **values: object) -> None:
        """An event of the process itself: started, reloaded, draining, stopped, certificate_renewed, ..."""
        self._log.write(logging.INFO, event, values)

    def warned(self, event: str, **values: object) -> None:
        """Something is not as it should be, and Relay goes on."""
        self._log.write(logging.WARNING, event, values)

    def failed(self, where: str, error: BaseException) -> None:
        """A task root caught an exception of ours: its type and place are logged, its text with addresses masked."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        values = {
            "where": where,
            "error": type(error).__name__,
            "text": str(error)[:500],
            "place": f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else None,
        }
        self._log.write(logging.ERROR, "error", values)


def _reason(diagnosis: Diagnosis | None) -> dict[str, object]:
    if diagnosis is None:
        return {}
    return {"why": diagnosis.cause, "actor": diagnosis.actor.value, "actions": list(diagnosis.steps)}


def _mechanism(name: str) -> str:
    return name if name in MECHANISMS else "other"
