"""The second pass: what is wrong between keys that are right by themselves."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from relay.config.credentials import unfit_credentials
from relay.config.draft import Draft
from relay.config.endpoint import Address
from relay.config.nearest import choice
from relay.config.problems import Fault, KeyPath
from relay.config.quantities import duration_text
from relay.config.upstream_settings import UpstreamSettings

_NOBODYS: Final = ("localhost", ".local", ".localdomain", ".internal", ".lan", ".home.arpa")
_LOOPBACK: Final = ("localhost", "127.", "::1")


def impossible(draft: Draft, tables: Mapping[str, Any]) -> Iterator[Fault]:
    """Whatever can't be done as the settings ask."""
    yield from _unknown_upstreams(draft)
    yield from _duplicate_usernames(draft)
    yield from _duplicate_networks(draft)
    yield from _duplicate_identities(draft)
    yield from _duplicate_addresses(draft, tables)
    yield from _listeners(draft, tables)
    yield from _clients(draft, tables)
    yield from unfit_credentials(draft, tables)
    yield from _limits(draft)


def doubtful(draft: Draft, tables: Mapping[str, Any]) -> Iterator[Fault]:
    """What can be done, and is likely not meant."""
    if not draft.upstream_names:
        yield Fault((), 'there is no upstream, so no mail goes anywhere; add a table [upstream."NAME"]')
    if not tables.get("client"):
        yield Fault((), 'there is no client, so no mail is accepted; add a table [client."NAME"]')
    for name, listener in draft.listeners.items():
        given = tables["listener"][name]
        if listener.security == "none" and "minimum_tls" in given:
            yield Fault(("listener", name, "minimum_tls"), 'has no effect with security = "none"; remove it')
        if listener.proxy_from and not listener.proxy_protocol:
            yield Fault(("listener", name, "proxy_from"), "has no effect without proxy_protocol = true; add that")
    if draft.listeners and not any(listener.auth for listener in draft.listeners.values()):
        for name, client in draft.clients.items():
            if client.username is not None:
                yield Fault(("client", name, "username"), "no listener offers AUTH; set auth on one of them")
    yield from _doubtful_clients(draft)
    yield from _needless_policies(draft)
    yield from _unknown_at_ehlo(draft)
    for name, upstream in draft.upstreams.items():
        clear = upstream.security == "none" and not str(upstream.host).startswith(_LOOPBACK)
        if clear and upstream.type != "capture" and getattr(upstream, "username", None):
            cure = 'write security = "starttls" where the server has it'
            yield Fault(("upstream", name, "security"), f"the password goes over the network in clear text; {cure}")


def _needless_policies(draft: Draft) -> Iterator[Fault]:
    """A sender_policy that asks for something, where no upstream is known to mind who sends."""
    elsewhere = [identity.upstream for identity in draft.identities.values() if identity.upstream is not None]
    for name, client in draft.clients.items():
        ways = [draft.upstreams[way] for way in (*client.upstreams, *elsewhere) if way in draft.upstreams]
        asked = client.sender_policy in {"rewrite", "reject"}
        if asked and ways and not any(way.own_senders for way in ways):
            what = "has no effect: as far as is known, its upstreams send as anybody"
            yield Fault(("client", name, "sender_policy"), f"{what}; remove it")


def _unknown_at_ehlo(draft: Draft) -> Iterator[Fault]:
    """Google's relay service tells without a login by the name at EHLO whose mail it is, where the address does not."""
    for name, upstream in draft.upstreams.items():
        if getattr(upstream, "preset", None) != "workspace-relay" or upstream.type != "smtp":
            continue
        said = upstream.ehlo_name or draft.general.hostname
        if not getattr(upstream, "username", None) and said.casefold().endswith(_NOBODYS):
            what = f'"{said:.60}" is nobody\'s domain, and tells Google nothing'
            yield Fault(
                ("upstream", name, "ehlo_name"), f'{what}; write ehlo_name = "relay.clinic.test", of your domain'
            )


def _unknown_upstreams(draft: Draft) -> Iterator[Fault]:
    for name, client in draft.clients.items():
        for number, entry in enumerate(client.upstream or ()):
            path = ("client", name, "upstream", number)
            if isinstance(entry, str):
                yield from _unknown(draft, path, entry)
                continue
            for place, upstream in enumerate(entry):
                yield from _unknown(draft, (*path, place), upstream)
    for name, identity in draft.identities.items():
        yield from _unknown(draft, ("identity", name, "upstream"), identity.upstream)
    yield from _unknown(draft, ("alerts", "upstream"), draft.alerts.upstream)


def _unknown(draft: Draft, path: KeyPath, upstream: str | None) -> Iterator[Fault]:
    if upstream is not None and upstream not in draft.upstream_names:
        cure = choice(upstream, draft.upstream_names) if draft.upstream_names else "add it"
        yield Fault(path, f'there is no [upstream."{upstream:.60}"]; {cure}')


def _doubtful_clients(draft: Draft) -> Iterator[Fault]:
    """Among them clients whose mail is kept at one time and sent at another: training must never reach a patient."""
    for name, client in draft.clients.items():
        kinds = [
            (upstream, draft.upstreams[upstream].type) for upstream in client.upstreams if upstream in draft.upstreams
        ]
        captures = [upstream for upstream, kind in kinds if kind == "capture"]
        if client.delivery == "direct" and client.messages_per_minute is not None:
            cure = "remove it, or delivery"
            yield Fault(("client", name, "messages_per_minute"), f'has no effect with delivery = "direct"; {cure}')
        if captures and len(captures) < len(kinds):
            what = f'"{captures[0]:.60}" keeps mail instead of sending it, and the others send it'
            yield Fault(("client", name, "upstream"), f"{what}; name one kind only for a training system")


def _duplicate_usernames(draft: Draft) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for name, client in draft.clients.items():
        if client.username is None:
            continue
        first = seen.setdefault(client.username.casefold(), name)
        if first != name:
            what = f'[client."{first}"] has the user name "{client.username:.60}" already'
            yield Fault(("client", name, "username"), f"{what}; give each client its own")


def _duplicate_networks(draft: Draft) -> Iterator[Fault]:
    # With a user name the login tells clients of one network apart.
    seen: dict[object, str] = {}
    for name, client in draft.clients.items():
        for number, network in enumerate(client.networks or ()):
            first = seen.setdefault(network, name) if client.username is None else name
            if first != name:
                what = f'[client."{first}"] has the network {network} already'
                yield Fault(("client", name, "networks", number), f"{what}; give it to one of them, or a narrower one")


def _duplicate_identities(draft: Draft) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for name, identity in draft.identities.items():
        for number, sender in enumerate(identity.match or ()):
            first = seen.setdefault(sender.casefold(), name)
            if first != name:
                what = f'[identity."{first}"] matches "{sender:.80}" already'
                yield Fault(("identity", name, "match", number), f"{what}; remove it from one of the two")


def _duplicate_addresses(draft: Draft, tables: Mapping[str, Any]) -> Iterator[Fault]:
    taken: list[tuple[str, Address, KeyPath]] = []
    for name, listener in draft.listeners.items():
        if listener.address is not None:
            taken.append((f'[listener."{name}"]', listener.address, ("listener", name, "address")))
    metrics: tuple[str, Address, KeyPath] = ("[metrics]", draft.metrics.address, ("metrics", "address"))
    # Where the address of the metrics is the default, the line to change is the listener's.
    taken.insert(len(taken) if "metrics" in tables else 0, metrics)
    if draft.console.address is not None:
        taken.append(("[console]", draft.console.address, ("console", "address")))
    for number, (_, address, path) in enumerate(taken):
        for first, other, _ in taken[:number]:
            if address.overlaps(other):
                yield Fault(path, f"{first} listens on {other} already; choose another port")
                break


def _listeners(draft: Draft, tables: Mapping[str, Any]) -> Iterator[Fault]:
    for name, listener in draft.listeners.items():
        path = ("listener", name)
        if listener.security == "none" and listener.require_tls:
            cure = 'write security = "starttls" or "implicit", or require_tls = false'
            yield Fault((*path, "require_tls"), f'impossible with security = "none"; {cure}')
        if listener.security == "implicit" and not listener.require_tls:
            cure = 'remove it, or write security = "starttls"'
            yield Fault((*path, "require_tls"), f'impossible with security = "implicit", which is TLS always; {cure}')
        if listener.proxy_protocol and not listener.proxy_from and "proxy_from" not in tables["listener"][name]:
            what = '"proxy_from" is missing, which proxy_protocol needs'
            yield Fault(
                (*path, "proxy_from"), f'{what}; add proxy_from = ["10.0.0.0/16"], the load balancer\'s networks'
            )
        twice = [mechanism for number, mechanism in enumerate(listener.auth) if mechanism in listener.auth[:number]]
        if twice:
            yield Fault((*path, "auth"), f'names "{twice[0]}" twice; name each mechanism once')


def _clients(draft: Draft, tables: Mapping[str, Any]) -> Iterator[Fault]:
    for name in draft.clients:
        path, given = ("client", name), tables["client"][name]
        if "username" not in given and "password" not in given and "networks" not in given:
            what = '"username" is missing, and "networks" too'
            cure = 'add username and password, or networks = ["10.20.30.0/24"]'
            yield Fault((*path, "username"), f"{what}, so nobody could be this client; {cure}")
        elif "username" in given and "password" not in given:
            cure = f'add password = {{ sealed = "{name}" }}, and type: relay secret set {name}'
            yield Fault((*path, "password"), f'"password" is missing, which username needs; {cure}')
        elif "password" in given and "username" not in given:
            cure = f'add username = "{name}"'
            yield Fault((*path, "username"), f'"username" is missing, which password needs; {cure}')


def _limits(draft: Draft) -> Iterator[Fault]:
    queue = draft.queue
    if queue.retry_first > queue.retry_most:
        most = duration_text(queue.retry_most)
        yield Fault(("queue", "retry_first"), f"longer than retry_most ({most}); write at most that")
    if queue.retry_first >= queue.give_up:
        first = duration_text(queue.retry_first)
        yield Fault(
            ("queue", "give_up"), f"not longer than retry_first ({first}), so nothing would be retried; write more"
        )
    if queue.password is not None and queue.url and not queue.url.startswith("postgres"):
        yield Fault(("queue", "password"), "SQLite has no password; remove it, or write a PostgreSQL url")
    for name, upstream in draft.upstreams.items():
        yield from _upstream_limits(name, upstream)
        yield from _proxy(name, upstream)


def _upstream_limits(name: str, upstream: UpstreamSettings) -> Iterator[Fault]:
    daily = upstream.recipients_per_day
    if daily is not None and upstream.recipients_per_message > daily:
        key = (
            "recipients_per_message" if "recipients_per_message" in upstream.model_fields_set else "recipients_per_day"
        )
        cure = f"write recipients_per_message = {daily} or less"
        yield Fault(("upstream", name, key), f"one message could have more recipients than a day ({daily}); {cure}")


def _proxy(name: str, upstream: UpstreamSettings) -> Iterator[Fault]:
    username, path = upstream.proxy_username, ("upstream", name)
    if (username is None) != (upstream.proxy_password is None):
        lacks = "proxy_password" if upstream.proxy_password is None else "proxy_username"
        yield Fault((*path, lacks), f'"{lacks}" is missing; give the proxy both user name and password, or none')
    if username is None:
        return
    if upstream.proxy is None:
        cure = 'add proxy = "http://proxy.clinic.test:3128"'
        yield Fault((*path, "proxy"), f'"proxy" is missing, which proxy_username needs; {cure}')
    elif upstream.proxy.scheme == "http" and ":" in username:
        what = "a user name with a colon can't be told to an http proxy (RFC 7617)"
        yield Fault((*path, "proxy_username"), f"{what}; give the relay one without")
    elif upstream.proxy.scheme == "socks5" and not (username.isascii() and len(username) <= 255):
        what = "the user name at a socks5 proxy has at most 255 letters, all of them ASCII"
        yield Fault((*path, "proxy_username"), f"{what}; give the relay one like that")
