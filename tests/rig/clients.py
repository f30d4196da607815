"""Real programs that submit mail, driven as their users drive them."""

import smtplib
import ssl
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.rig.peers import command, peer_environment

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client is told. `message` is a file with CRLF line ends; without `mechanism` there is no AUTH.

    security: "none" | "starttls" | "implicit", the latter two trusting `authority` and checking the host's name.
    """

    message: Path
    port: int
    sender: str
    recipients: tuple[str, ...]
    security: str = "none"
    mechanism: str | None = None
    username: str = ""
    password: str = ""
    authority: Path | None = None
    host: str = "localhost"


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of it: the program's exit status (0: the server took the message), all it printed, and the content
    that it put on the wire, which is the message file's unless the program composes its own."""

    status: int
    output: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Client:
    """A program and the mechanisms that it knows."""

    name: str
    submit: Callable[[Submission], Submitted]
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN", "CRAM-MD5")

    def __str__(self) -> str:
        return self.name


def swaks(told: Submission) -> Submitted:
    """swaks; it reads lines with LF, makes them CRLF, and ends the last one itself."""
    unix = told.message.with_suffix(".unix")
    unix.write_bytes(told.message.read_bytes().replace(b"\r\n", b"\n").removesuffix(b"\n"))
    options = [
        "--server",
        told.host,
        "--port",
        str(told.port),
        "--from",
        told.sender,
        "--to",
        ",".join(told.recipients),
    ]
    options += ["--data", f"@{unix}", "--suppress-data", "--timeout", "30"]
    if told.security != "none":
        options += ["--tls" if told.security == "starttls" else "--tls-on-connect", "--tls-verify"]
        options += ["--tls-ca-path", str(told.authority)]
    if told.mechanism:
        options += ["--auth", told.mechanism, "--auth-user", told.username, "--auth-password", told.password]
    return _run([command("swaks"), *options], told)


def curl(told: Submission) -> Submitted:
    """curl."""
    scheme = "smtps" if told.security == "implicit" else "smtp"
    options = ["--silent", "--show-error", "--verbose", "--max-time", "60", "--mail-from", told.sender]
    options += ["--url", f"{scheme}://{told.host}:{told.port}/client.clinic.test", "--upload-file", str(told.message)]
    for recipient in told.recipients:
        options += ["--mail-rcpt", recipient]
    if told.security == "starttls":
        options += ["--ssl-reqd"]
    if told.security != "none":
        options += ["--cacert", str(told.authority)]
    if told.mechanism:
        options += ["--login-options", f"AUTH={told.mechanism}", "--user", f"{told.username}:{told.password}"]
    return _run([command("curl"), *options], told)


def msmtp(told: Submission) -> Submitted:
    """msmtp, with a configuration file of its own."""
    lines = ["account default", f"host {told.host}", f"port {told.port}", f"from {told.sender}", "timeout 30"]
    if told.security == "none":
        lines += ["tls off"]
    else:
        lines += ["tls on", f"tls_starttls {'on' if told.security == 'starttls' else 'off'}"]
        lines += [f"tls_trust_file {told.authority}"]
    if told.mechanism:
        lines += [f"auth {told.mechanism.lower()}", f"user {told.username}", f"password {told.password}"]
    configuration = told.message.with_suffix(".msmtprc")
    configuration.touch(mode=0o600)
    configuration.write_text("\n".join(lines) + "\n")
    arguments = [command("msmtp"), "--debug", f"--file={configuration}", "--", *told.recipients]
    return _run(arguments, told, stdin=told.message.read_bytes().replace(b"\r\n", b"\n"))


def python_smtplib(told: Submission) -> Submitted:
    """Python's own smtplib; with a mechanism it uses that one alone, as a program that insists would."""
    context = ssl.create_default_context(cafile=str(told.authority)) if told.authority else None
    content = told.message.read_bytes()
    try:
        with (
            smtplib.SMTP_SSL(told.host, told.port, timeout=30, context=context)
            if told.security == "implicit"
            else smtplib.SMTP(told.host, told.port, timeout=30)
        ) as connection:
            if told.security == "starttls":
                connection.starttls(context=context)
            connection.ehlo()
            if told.mechanism:
                connection.user, connection.password = told.username, told.password
                login = getattr(connection, "auth_" + told.mechanism.lower().replace("-", "_"))
                connection.auth(told.mechanism, login)
            refused = connection.sendmail(told.sender, told.recipients, content)
    except (smtplib.SMTPException, OSError) as error:
        return Submitted(1, str(error), content)
    return Submitted(1 if refused else 0, str(refused), content)


def action_mailer(told: Submission) -> Submitted:
    """Rails' ActionMailer; the content is the message file's, as a mailer with its own template would make it."""
    return _composed([command("ruby"), str(PROGRAMS / "action_mailer.rb")], told)


def php_mailer(told: Submission) -> Submitted:
    """PHPMailer. It composes for itself, with the message file as the attachment, and ends with a blank line."""
    submitted = _composed([command("php"), str(PROGRAMS / "php_mailer.php")], told)
    return replace(submitted, content=submitted.content + b"\r\n")


CLIENTS = (
    Client("swaks", swaks),
    Client("curl", curl),
    Client("msmtp", msmtp),
    Client("smtplib", python_smtplib),
    Client("action_mailer", action_mailer),
    Client("php_mailer", php_mailer),
)


def _settings(told: Submission) -> dict[str, str]:
    return {
        "SMTP_HOST": told.host,
        "SMTP_PORT": str(told.port),
        "SMTP_SECURITY": told.security,
        "SMTP_MECHANISM": told.mechanism or "",
        "SMTP_USERNAME": told.username,
        "SMTP_PASSWORD": told.password,
        "SMTP_AUTHORITY": str(told.authority or ""),
        "MAIL_FROM": told.sender,
        "MAIL_TO": ",".join(told.recipients),
        "MESSAGE": str(told.message),
    }


def _composed(arguments: list[str], told: Submission) -> Submitted:
    """Runs a program that tells in a file what it sent."""
    sent = told.message.with_suffix(".sent")
    ran = _run(arguments, told, environ={**_settings(told), "SENT": str(sent)})
    return replace(ran, content=sent.read_bytes() if sent.exists() else b"")


def _run(
    arguments: list[str], told: Submission, *, stdin: bytes = b"", environ: Mapping[str, str] | None = None
) -> Submitted:
    ran = subprocess.run(
        arguments,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**peer_environment(), "HOME": str(told.message.parent), **(environ or {})},
        timeout=90,
        check=False,
    )
    return Submitted(ran.returncode, ran.stdout.decode(errors="replace"), told.message.read_bytes())
