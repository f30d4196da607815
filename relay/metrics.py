"""Every metric that Relay has, by the names that dashboards rely on. Only `journal` and collectors move them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_DELIVERY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400, 432000)

# A second series for each counter, saying when it began, is of no use to anybody.
disable_created_metrics()  # type: ignore[no-untyped-call]

MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "other")
MOVES = ("held", "unreachable", "send_as", "well")
REFUSALS = ("auth", "relay", "sender", "recipient", "size", "rate", "loop", "syntax", "spool", "tls", "upstream")


class Metrics:
    """The metrics of one process, in a registry of their own, so that two in one process never mix."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.connections = Gauge("relay_connections", "Client connections open now", ["listener"], registry=r)
        self.authentications = Counter(
            "relay_authentications", "Logins by applications", ["listener", "mechanism", "outcome"], registry=r
        )
        self.accepted = Counter(
            "relay_messages_accepted", "Messages answered with 250", ["listener", "client"], registry=r
        )
        self.refused = Counter(
            "relay_messages_refused", "Commands and messages refused", ["listener", "reason"], registry=r
        )
        self.acceptance = Histogram(
            "relay_acceptance_seconds", "From the final dot to 250", registry=r, buckets=_SECONDS
        )
        self.settled = Counter(
            "relay_recipients_settled", "Outcomes of attempts, by recipient", ["upstream", "outcome"], registry=r
        )
        self.delivery = Histogram(
            "relay_delivery_seconds",
            "From 250 to relayed, by recipient",
            ["upstream"],
            registry=r,
            buckets=_DELIVERY_SECONDS,
        )
        self.moved = Counter(
            "relay_recipients_moved",
            "Recipients that another upstream sends, by the one that they left",
            ["upstream", "reason"],
            registry=r,
        )
        self.queue_recipients = Gauge("relay_queue_recipients", "Recipients waiting", ["upstream", "state"], registry=r)
        self.queue_oldest = Gauge(
            "relay_queue_oldest_seconds", "Age of the oldest message waiting", ["upstream"], registry=r
        )
        self.spool_writable = Gauge("relay_spool_writable", "1 while the spool takes mail", registry=r)
        self.spool_free = Gauge(
            "relay_spool_free_bytes", "Free space on the spool's disk; NaN on PostgreSQL", registry=r
        )
        self.spool_reserve = Gauge(
            "relay_spool_reserve_bytes", "Of that, what is kept for settlements; NaN on PostgreSQL", registry=r
        )
        self.upstream_up = Gauge(
            "relay_upstream_up", "1 while the last conversation got past AUTH", ["upstream"], registry=r
        )
        self.upstream_held = Gauge("relay_upstream_held", "1 while held", ["upstream", "reason"], registry=r)
        self.upstream_failover = Gauge(
            "relay_upstream_failover", "1 while others send its mail", ["upstream"], registry=r
        )
        self.upstream_connections = Gauge(
            "relay_upstream_connections", "Connections to the upstream open now", ["upstream"], registry=r
        )
        self.quota_used = Gauge(
            "relay_upstream_quota_used_ratio", "Share of a limit that is used", ["upstream", "quota"], registry=r
        )
        self.token_expires = Gauge(
            "relay_token_expires_seconds", "Seconds until the access token expires", ["upstream"], registry=r
        )
        self.secret_expires = Gauge(
            "relay_secret_expires_seconds", "Seconds until a secret or certificate expires", ["what"], registry=r
        )
        self.build = Gauge("relay_build_info", "Always 1", ["version"], registry=r)
        self.build.labels(version).set(1)
