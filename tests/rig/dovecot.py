"""A private Dovecot: as SASL authority for Postfix, and as submission service with OAuth (dovecot.org, 2.3)."""

import os
from pathlib import Path

from tests.rig.peers import peer_environment, unpacked
from tests.rig.ports import free_port
from tests.rig.private_server import PrivateServer, account

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


class Dovecot(PrivateServer):
    """One instance; `settings` is added to what every instance has, with {folder}, {port}, {internal} filled in."""

    def __init__(self, settings: str, name: str = "dovecot") -> None:
        super().__init__(name)
        self.port = free_port()
        self._settings = settings

    def prepare(self) -> None:
        """dovecot.conf."""
        groups = {"internal_group": "daemon" if os.geteuid() == 0 else str(os.getegid())}
        text = (_FRAME + self._settings).format(
            folder=self.folder,
            port=self.port,
            library=unpacked("/usr/lib/dovecot"),
            libraries=peer_environment().get("LD_LIBRARY_PATH", ""),
            internal=account("daemon"),
            login=account("nobody"),
            **groups,
        )
        (self.folder / "dovecot.conf").write_text(text)

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
        super().prepare()
        users = self.folder / "users"
        users.write_text("".join(f"{name}:{{PLAIN}}{password}\n" for name, password in self._users.items()))
        Path(users).chmod(0o644)
