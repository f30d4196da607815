"""`relay clients seen`: devices that are none of the clients, and the lines that would admit each."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from relay.cli.invocation import invocation_of
from relay.cli.output import CommandError, print_json_list, print_table, say
from relay.state_dir import as_owner

if TYPE_CHECKING:
    from relay.config.settings import Settings
    from relay.inbound.devices import Device

group = typer.Typer(no_args_is_help=True, help="The applications and devices.")

_COLUMNS = ("ADDRESS", "LISTENER", "SAYS", "FROM", "TLS", "LOGIN", "TIMES", "LAST", "REFUSED")


@group.callback()
def clients() -> None:
    """A group, although it has one command."""


@group.command()
def seen(context: typer.Context) -> None:
    """List the devices that were refused while a listener learned (learn_until), and what would admit each."""
    from relay.inbound.clients import Clients, ip_address
    from relay.inbound.devices import devices_in

    invocation = invocation_of(context)
    settings = invocation.settings()
    known = Clients(settings.client)
    with as_owner(settings.state_dir):
        try:
            found = [one for one in devices_in(settings.state_dir) if known.at(ip_address(one.address)) is None]
        except OSError as error:
            raise CommandError(f"{settings.state_dir}: {error.strerror}; run this as root, or as its owner") from error
    if invocation.json:
        print_json_list(_shape(one, settings) for one in found)
        return
    print_table(_COLUMNS, map(_row, found), empty="No unknown device was seen.")
    if not any(listener.learn_until for listener in settings.listener.values()):
        say('No listener learns: write learn_until = 2026-12-24T00:00:00Z below [listener."NAME"].')
    for one in found:
        say()
        for line in admitting_lines(one, settings):
            say(line)


def admitting_lines(device: Device, settings: Settings) -> list[str]:
    """Return the lines of relay.toml that would admit the device, with what stands in its way as comments."""
    name = _name_for(device, settings)
    upstream = next(iter(settings.upstream), "NAME")
    lines = [f'[client."{name}"]']
    if device.username:
        lines += [
            f"username = {_quoted(device.username)}",
            f'password = {{ sealed = "{name}" }}   # relay secret set {name}',
        ]
    length = 128 if ":" in device.address else 32
    lines += [f'networks = ["{device.address}/{length}"]', f'upstream = "{upstream}"']
    sender = re.match(r"<([^<>\s]+@[^<>\s]+)>", device.sender)
    if sender is not None:
        lines.append(f"senders = [{_quoted(sender[1])}]")
    return [*lines, *(f"# {text}" for text in _obstacles(device, settings))]


def _obstacles(device: Device, settings: Settings) -> tuple[str, ...]:
    listener = settings.listener.get(device.listener)
    if listener is None or device.tls:
        return ()
    if not device.hello:
        return (
            "It never said hello: its TLS and ours don't meet, or it is no mail client. An old device may need",
            f'minimum_tls = "1.0" below [listener."{device.listener}"].',
        )
    if listener.require_tls:
        return (
            f'It speaks without TLS, which [listener."{device.listener}"] demands: switch TLS on in the device, or',
            'give it a listener of its own with security = "none".',
        )
    return ()


def _name_for(device: Device, settings: Settings) -> str:
    label = device.helo.strip("[]").partition(".")[0].lower()
    plain = re.fullmatch(r"[a-z][a-z0-9-]{1,40}", label) is not None and label != "localhost"
    name = label if plain else f"device-{re.sub(r'[^0-9a-z]+', '-', device.address).strip('-')}"
    number = 2
    while name in settings.client:
        name, number = f"{name.removesuffix(f'-{number - 1}')}-{number}", number + 1
    return name


def _quoted(text: str) -> str:
    import tomlkit

    return tomlkit.string(text).as_string()


def _row(device: Device) -> list[object]:
    from relay.control.shapes import instant

    login = f"{device.mechanism} {device.username}".strip()
    says = f"{device.hello} {device.helo}".strip()
    return [
        device.address,
        device.listener,
        says or None,
        device.sender or None,
        device.tls or None,
        login or None,
        device.times,
        instant(device.last_at),
        device.refused,
    ]


def _shape(device: Device, settings: Settings) -> dict[str, Any]:
    from relay.control.shapes import instant

    shape = {name: value if value != "" else None for name, value in asdict(device).items()}
    first, last = (instant(shape.pop(name)) for name in ("first_at", "last_at"))
    return shape | {"first": first, "last": last, "toml": "\n".join(admitting_lines(device, settings)) + "\n"}
