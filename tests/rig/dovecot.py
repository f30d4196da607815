"""A private Dovecot: as SASL authority for Postfix, and as submission service with OAuth (dovecot.org, 2.3)."""

import grp
import os

from tests.rig.authority import TokenAuthority
from tests.rig.certificate import Leaf
from tests.rig.peers import peer_environment, unpacked
from tests.rig.ports import free_port
from tests.rig.private_server import ROOT, PrivateServer, account

_FRAME = """
base_dir = {folder}/run
state_dir = {folder}/state
libexec_dir = {library}
mail_plugin_dir = {library}/modules
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
listen = 127.0.0.1
log_path = {folder}/dovecot.log
auth_verbose = yes
auth_failure_delay = 0
first_valid_uid = 1
ssl = no
disable_plaintext_auth = no
import_environment = TZ LD_LIBRARY_PATH={libraries}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

_AUTHENTICATION = """
protocols =
auth_mechanisms = plain login cram-md5
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={internal} gid={internal_group} home={folder}/home
}}
service auth {{
  user = {internal}
  inet_listener {{
    port = {port}
  }}
}}
"""

_SUBMISSION = """
protocols = submission
hostname = dovecot.example.test
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{private_key}
auth_mechanisms = xoauth2 oauthbearer plain login
mail_location = maildir:~/Maildir
submission_relay_host = 127.0.0.1
submission_relay_port = {relay_port}
submission_max_mail_size = 200M
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={internal} gid={internal_group} home={folder}/home
}}
service submission-login {{
  chroot =
  inet_listener submission {{
    port = {port}
  }}
}}
"""

_VALIDATION = """
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={keys}/
username_attribute = upn
issuers = {issuer}
"""


class Dovecot(PrivateServer):
    """One instance; `settings` is added to what every instance has, with {folder}, {port}, {internal} filled in."""

    def __init__(self, settings: str, name: str = "dovecot") -> None:
        super().__init__(name)
        self.port = free_port()
        self._settings = settings
        self.more: dict[str, str] = {}

    def write_users(self, users: dict[str, str]) -> None:
        """The password file."""
        path = self.folder / "users"
        path.write_text("".join(f"{name}:{{PLAIN}}{password}\n" for name, password in users.items()))
        path.chmod(0o644)

    def prepare(self) -> None:
        """dovecot.conf."""
        text = (_FRAME + self._settings).format(
            folder=self.folder,
            port=self.port,
            library=unpacked("/usr/lib/dovecot"),
            libraries=peer_environment().get("LD_LIBRARY_PATH", ""),
            internal=account("daemon"),
            login=account("nobody"),
            internal_group="daemon" if ROOT else grp.getgrgid(os.getegid()).gr_name,
            **self.more,
        )
        (self.folder / "dovecot.conf").write_text(text)
        # See make/peers: modules are looked for in the working directories of the processes.
        for place in (self.folder / "run", self.folder / "run" / "login", self.folder / "home"):
            place.mkdir(mode=0o755, exist_ok=True)
            for module in ("modules", "libdcrypt_openssl.so"):
                (place / module).symlink_to(unpacked("/usr/lib/dovecot") / module)

    def command(self) -> list[str]:
        """doveconf reads the settings for the master and becomes it; the master would look for doveconf in /usr/bin."""
        configuration, master = str(self.folder / "dovecot.conf"), str(unpacked("/usr/sbin/dovecot"))
        reader = [str(unpacked("/usr/bin/doveconf")), "-f", "service=master", "-c", configuration, "-m", "master"]
        return [*reader, "-e", master, "-F", "-c", configuration]


class DovecotAuthentication(Dovecot):
    """Answers Postfix's SASL questions on 127.0.0.1:`port` for PLAIN, LOGIN and CRAM-MD5."""

    def __init__(self, users: dict[str, str]) -> None:
        super().__init__(_AUTHENTICATION, "dovecot-auth")
        self._users = users

    def prepare(self) -> None:
        """The users' file too."""
        self.write_users(self._users)
        super().prepare()


class DovecotSubmission(Dovecot):
    """The submission service on 127.0.0.1:`port`, with STARTTLS; XOAUTH2 tokens it validates by the authority's key.

    What it accepts goes on to `relay_port`. `users` may log in by PLAIN and LOGIN.
    """

    def __init__(
        self, *, leaf: Leaf, authority: TokenAuthority, relay_port: int, users: dict[str, str] | None = None
    ) -> None:
        super().__init__(_SUBMISSION, "dovecot-submission")
        self._leaf, self._authority, self._relay_port, self._users = leaf, authority, relay_port, users or {}

    def prepare(self) -> None:
        """Keys, users and the validation's own file too."""
        keys = self.folder / "keys"
        self._authority.export_key(keys)
        (self.folder / "home").mkdir(mode=0o777)
        (self.folder / "home").chmod(0o777)
        (self.folder / "oauth2").write_text(_VALIDATION.format(keys=keys, issuer=self._authority.issuer))
        self.write_users(self._users)
        self.more = {
            "certificate": str(self._leaf.certificate),
            "private_key": str(self._leaf.private_key),
            "relay_port": str(self._relay_port),
        }
        super().prepare()
