"""A private Dovecot: as SASL authority for Postfix, and as submission service with OAuth."""

import grp
import os
import subprocess
from functools import cache

from tests.rig.authority import TokenAuthority
from tests.rig.certificate import Leaf
from tests.rig.dovecot_settings import DOVECOT_2_3, DOVECOT_2_4, Dialect
from tests.rig.peers import command, peer_environment, unpacked
from tests.rig.ports import free_port
from tests.rig.private_server import ROOT, PrivateServer, account


@cache
def _dialect() -> Dialect:
    version = subprocess.run([command("dovecot"), "--version"], capture_output=True, text=True, check=True).stdout
    return DOVECOT_2_3 if version.startswith("2.3.") else DOVECOT_2_4


class _Dovecot(PrivateServer):
    """One instance, which `users` may log in to."""

    def __init__(self, name: str, users: dict[str, str]) -> None:
        super().__init__(name)
        self.port = free_port()
        self._users = users

    def settings(self) -> str:
        """What this instance's configuration has besides the frame."""
        raise NotImplementedError

    def values(self) -> dict[str, str]:
        """What fills the placeholders."""
        return {
            "folder": str(self.folder),
            "port": str(self.port),
            "library": str(unpacked("/usr/lib/dovecot")),
            "libraries": peer_environment().get("LD_LIBRARY_PATH", ""),
            "internal": account("daemon"),
            "internal_group": "daemon" if ROOT else grp.getgrgid(os.getegid()).gr_name,
            "login": account("nobody"),
        }

    def prepare(self) -> None:
        """Configuration, users, and a home for them all."""
        text = (_dialect().frame + self.settings()).format(**self.values())
        (self.folder / "dovecot.conf").write_text(text)
        users = "".join(f"{name}:{{PLAIN}}{password}\n" for name, password in self._users.items())
        (self.folder / "users").write_text(users)
        # See make/peers: modules are looked for in the working directories of the processes.
        for name, mode in (("run", 0o755), ("run/login", 0o750), ("home", 0o777)):
            place = self.folder / name
            place.mkdir()
            for module in ("modules", "libdcrypt_openssl.so"):
                (place / module).symlink_to(unpacked("/usr/lib/dovecot") / module)
            place.chmod(mode)

    def command(self) -> list[str]:
        """doveconf reads the settings for the master and becomes it; the master would look for doveconf in /usr/bin."""
        configuration, master = str(self.folder / "dovecot.conf"), str(unpacked("/usr/sbin/dovecot"))
        reader = [str(unpacked("/usr/bin/doveconf")), "-c", configuration, *_dialect().launcher]
        return [*reader, master, "-F", "-c", configuration]


class DovecotAuthentication(_Dovecot):
    """Answers Postfix's SASL questions on 127.0.0.1:`port` for PLAIN, LOGIN and CRAM-MD5."""

    def __init__(self, users: dict[str, str]) -> None:
        super().__init__("dovecot-auth", users)

    def settings(self) -> str:
        """A SASL authority alone."""
        return _dialect().authentication


class DovecotSubmission(_Dovecot):
    """The submission service on 127.0.0.1:`port`, with STARTTLS; XOAUTH2 tokens it validates by the authority's key.

    What it accepts goes on to `relay_port`. `users` may log in by PLAIN and LOGIN.
    """

    def __init__(
        self,
        *,
        leaf: Leaf,
        authority: TokenAuthority,
        relay_port: int,
        users: dict[str, str] | None = None,
        mechanisms: str = "xoauth2 oauthbearer plain login",
    ) -> None:
        super().__init__("dovecot-submission", users or {})
        self._leaf, self._authority, self._relay_port = leaf, authority, relay_port
        self._mechanisms = mechanisms

    def settings(self) -> str:
        """The submission service."""
        return _dialect().submission

    def values(self) -> dict[str, str]:
        """Certificate, issuer and where mail goes on to, too."""
        return super().values() | {
            "certificate": str(self._leaf.certificate),
            "private_key": str(self._leaf.private_key),
            "relay_port": str(self._relay_port),
            "issuer": self._authority.issuer,
            "mechanisms": self._mechanisms,
        }

    def prepare(self) -> None:
        """The key, and the validation's own file where the version has one."""
        super().prepare()
        self._authority.export_key(self.folder / "keys")
        (self.folder / "oauth2").write_text(_dialect().validation.format(**self.values()))
