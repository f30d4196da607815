"""`relay setup microsoft365`: the PowerShell with which the tenant's administrator lets us send, and no more."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from relay.cli.invocation import invocation_of
from relay.cli.output import CommandError, print_json, say
from relay.cli.setup.access import Access, script_for
from relay.cli.setup.configured import Configured, check_now, configured, senders_of, sound
from relay.cli.setup.guidance import Guidance, guidance_of, say_steps, texts_of
from relay.cli.setup.key_pair import KeyPair, ending, key_pair_of, read_certificate, thumbprint_of
from relay.cli.setup.options import Check, Output, SendAs, UpstreamName, id_option
from relay.cli.setup.powershell import octets_of
from relay.cli.setup.questions import question_of
from relay.cli.setup.terminal import Terminal, at_terminal
from relay.config.microsoft365_settings import CLOUDS, Microsoft365Settings
from relay.config.seal import SealedStore
from relay.config.settings import default_state_dir

_GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_NAMES = ("mailbox", "tenant", "client_id")


def microsoft365(
    context: typer.Context,
    upstream: UpstreamName = None,
    mailbox: Annotated[str | None, typer.Option("--mailbox", metavar="ADDRESS", help="the mailbox that sends")] = None,
    tenant: Annotated[str | None, id_option("--tenant", "the Directory (tenant) ID")] = None,
    client_id: Annotated[str | None, id_option("--client-id", "the Application (client) ID")] = None,
    object_id: Annotated[str | None, id_option("--object-id", "its object ID under Enterprise applications")] = None,
    send_as: SendAs = None,
    credential: Annotated[str | None, typer.Option("--credential", help="client_secret, certificate, ...")] = None,
    cloud: Annotated[str | None, typer.Option("--cloud", help=", ".join(CLOUDS))] = None,
    graph: Annotated[bool, typer.Option("--graph", help="by Microsoft Graph instead of SMTP")] = False,
    classic: Annotated[bool, typer.Option("--classic", help="by a permission with admin consent, as before")] = False,
    output: Output = None,
    check: Check = False,
) -> int:
    """Print the PowerShell with which the tenant's administrator lets Relay send, line by line with its reason."""
    invocation = invocation_of(context)
    found = configured(invocation, upstream, Microsoft365Settings, "office365")
    given = {"mailbox": mailbox, "tenant": tenant, "client_id": client_id}
    access = _access(found, given, credential, cloud)
    access = replace(
        access,
        object_id=_checked_object(object_id or ""),
        senders=_senders(found, access.mailbox, tuple(send_as or ())),
        classic=classic,
        via="graph" if graph else access.via,
    )
    texts = texts_of("microsoft365")
    if classic and access.via == "graph":
        raise CommandError(texts["texts"]["classic_graph"], status=2)
    pair = _certificate(found, access)
    try:
        script = script_for(access, texts)
    except ValueError as error:
        raise CommandError(f"{error}; correct it in relay.toml", status=2) from error
    written = _write(output, script, pair)
    before, after = _steps(access, texts, pair)
    if invocation.json and not check:
        print_json(_shape(access, script, before, after, pair))
        return 0
    if not invocation.json:
        _print(access, script, before, after, written, pair)
    return check_now(context, found, asked=check)


def _access(
    found: Configured[Microsoft365Settings], given: dict[str, str | None], credential: str | None, cloud: str | None
) -> Access:
    upstream = found.upstream
    credential = credential or (upstream.credential if upstream else "client_secret")
    for option, word, words in (
        ("--credential", credential, ("client_secret", "certificate", "device_code", "managed_identity", "federated")),
        ("--cloud", cloud or "public", tuple(CLOUDS)),
    ):
        if word not in words:
            raise CommandError(f"{option}: {word:.40}: not known; there are: {', '.join(words)}", status=2)
    names = {key: _name(key, given[key], getattr(upstream, key, "") or "") for key in _NAMES}
    missing = [key for key in _NAMES if not names[key]]
    if missing and not at_terminal():
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in missing)
        raise CommandError(f"nobody says which tenant, application and mailbox it is for; add {flags}", status=2)
    if missing:
        terminal = Terminal()
        names |= {key: terminal.text(question_of(key), {}, "") for key in missing}
    via: Literal["smtp", "graph"] = upstream.via if upstream else "smtp"
    return Access(
        found.name,
        mailbox=names["mailbox"],
        tenant=names["tenant"],
        client_id=names["client_id"],
        credential=credential,
        cloud=cloud or (upstream.cloud if upstream else "public"),
        via=via,
    )


def _name(key: str, given: str | None, there: str) -> str:
    return there if given is None else sound(question_of(key).option, key, given)


def _checked_object(text: str) -> str:
    if text and not _GUID.fullmatch(text):
        cure = "copy the Object ID from Entra admin center > Enterprise applications > the application"
        raise CommandError(f'--object-id: "{text:.60}" is no object ID; {cure}', status=2)
    return text


def _senders(found: Configured[Microsoft365Settings], mailbox: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the further addresses in From: those given, of the upstream, its clients and their identities."""
    addresses = [*(sound("--send-as", "mailbox", address) for address in given), *senders_of(found)]
    own = mailbox.casefold()
    further = (address for address in addresses if address.casefold() != own and not address.startswith("@"))
    return tuple({address.casefold(): address for address in further}.values())


def _certificate(found: Configured[Microsoft365Settings], access: Access) -> KeyPair | None:
    from relay.state_dir import prepare

    if access.credential != "certificate":
        return None
    state_dir = found.settings.state_dir if found.settings else default_state_dir()
    now = datetime.datetime.now(datetime.UTC)
    upstream = found.upstream
    if upstream is not None and upstream.pfx is not None:
        return None
    if upstream is not None and upstream.certificate is not None:
        certificate = read_certificate(upstream.certificate)
        ends = certificate.not_valid_after_utc.date()
        if upstream.certificate.parent != state_dir or not ending(ends, now):
            return KeyPair(upstream.certificate, "", thumbprint_of(certificate), ends)
    prepare(state_dir)
    return key_pair_of(access.upstream, state_dir, SealedStore(state_dir, os.environ), now)


def _write(output: Path | None, script: str, pair: KeyPair | None) -> list[Path]:
    """Write the script and, beside it, the certificate to upload; nothing that is there already is overwritten."""
    if output is None:
        return []
    files = {output: octets_of(script)}
    if pair is not None:
        files[output.with_name(pair.certificate.name)] = pair.certificate.read_bytes()
    for path, octets in files.items():
        with contextlib.suppress(OSError):
            if path.read_bytes() == octets:
                continue
        try:
            with path.open("xb") as file:
                file.write(octets)
        except FileExistsError as error:
            raise CommandError(f"{path}: is there already; remove it, or name another file") from error
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}; name another file") from error
    return list(files)


def _steps(
    access: Access, texts: dict[str, Any], pair: KeyPair | None
) -> tuple[tuple[Guidance, ...], tuple[Guidance, ...]]:
    shown = () if pair is None else (f"File:        {pair.certificate}", f"Thumbprint:  {pair.thumbprint}")
    blocks = {"certificate": (*shown, *((f"Ends:        {pair.ends}",) if pair else ()))}
    names = {**access.names, "secret": f"relay secret set {access.upstream}"}
    return (
        guidance_of(texts["before"], access.holds, names, blocks),
        guidance_of(texts["after"], access.holds, names),
    )


def _print(
    access: Access,
    script: str,
    before: tuple[Guidance, ...],
    after: tuple[Guidance, ...],
    written: list[Path],
    pair: KeyPair | None,
) -> None:
    say(f"Upstream {access.upstream}: application {access.client_id} sends as {access.mailbox}.")
    say()
    say_steps("First:", before)
    if written:
        say(f"Then an Exchange administrator runs {written[0]}: each line has its reason above it.")
        for path in written:
            say(f"  written: {path}")
    else:
        say("Then an Exchange administrator types, in PowerShell:")
        say()
        say(script)
    say()
    say_steps("Afterwards:", after)
    if pair is not None and pair.sealed:
        say()
        say(f'For [upstream."{access.upstream}"] of relay.toml; the private key is sealed, and stays here:')
        for line in pair.toml():
            say(f"  {line}")


def _shape(
    access: Access, script: str, before: tuple[Guidance, ...], after: tuple[Guidance, ...], pair: KeyPair | None
) -> dict[str, Any]:
    return {
        "upstream": access.upstream,
        "before": [step.shape() for step in before],
        "script": script,
        "after": [step.shape() for step in after],
        "certificate": None
        if pair is None
        else {"file": str(pair.certificate), "thumbprint": pair.thumbprint, "ends": str(pair.ends)},
    }
