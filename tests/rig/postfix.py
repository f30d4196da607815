"""A private Postfix that receives: with STARTTLS and SASL as a provider does, or taking everything.

Nothing of it lies outside its folder, and it delivers into a maildir there, whoever the recipient is.
"""

import grp
import os
import pwd
import shutil
from pathlib import Path

from tests.rig.certificate import Leaf
from tests.rig.dovecot import DovecotAuthentication
from tests.rig.peers import peer_environment, unpacked
from tests.rig.ports import free_port
from tests.rig.private_server import ROOT, PrivateServer, account
from tests.rig.waiting import wait_until

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = {commands}
daemon_directory = {daemons}
shlib_directory = {libraries}
meta_directory = {folder}/config
maillog_file = {folder}/maillog.log
maillog_file_prefixes = {folder}
mail_owner = {owner}
setgid_group = {group}
default_privs = {unprivileged}
import_environment = MAIL_CONFIG TZ LANG=C {environment}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.example.test
mydestination =
mynetworks = {networks}
alias_maps =
alias_database =
local_recipient_maps =
message_size_limit = 209715200
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtp_line_length_limit = 0
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
virtual_mailbox_domains = regexp:{folder}/config/everything
virtual_mailbox_base = {folder}
virtual_mailbox_maps = static:maildir/
virtual_minimum_uid = 1
virtual_uid_maps = static:{mail_uid}
virtual_gid_maps = static:{mail_gid}
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
"""
_TLS = """
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {private_key} {certificate}
smtpd_tls_auth_only = yes
"""
_SASL = """
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{authentication}
smtpd_sasl_security_options = noanonymous
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
_OWNED = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace")


class Postfix(PrivateServer):
    """Listens on 127.0.0.1:`port`. With a `leaf` it demands STARTTLS, with `users` AUTH (PLAIN, LOGIN, CRAM-MD5).

    `more` are lines of main.cf, which win over those before them.
    """

    def __init__(self, *, leaf: Leaf | None = None, users: dict[str, str] | None = None, more: str = "") -> None:
        super().__init__("postfix")
        self.port = free_port()
        self._leaf = leaf
        self._more = more
        self._authentication = DovecotAuthentication(users) if users else None
        self._maildir = self.folder / "maildir"

    def prepare(self) -> None:
        """Configuration, queue directories with their owners, and the SASL authority."""
        for name in ("config", "data", "spool", "maildir"):
            (self.folder / name).mkdir(mode=0o755)
        (self.folder / "config" / "main.cf").write_text(self._main())
        (self.folder / "config" / "master.cf").write_text(_MASTER.format(port=self.port))
        (self.folder / "config" / "everything").write_text("/./ yes\n")
        self._lay_queue()
        if self._authentication is not None:
            self._authentication.start()

    def _main(self) -> str:
        text = _MAIN.format(
            folder=self.folder,
            commands=unpacked("/usr/sbin"),
            daemons=unpacked("/usr/lib/postfix/sbin"),
            libraries=unpacked("/usr/lib/postfix"),
            environment=" ".join(f"{name}={value}" for name, value in self.environment().items()),
            owner=account("daemon"),
            group="mail",
            unprivileged="nobody",
            networks="" if self._authentication else "127.0.0.0/8",
            mail_uid=_identity("nobody")[0],
            mail_gid=_identity("nobody")[1],
        )
        if self._leaf is not None:
            # Read before Postfix gives up root, from a copy: pytest's folders are closed to everyone else.
            certificate, private_key = self.folder / "config" / "leaf.pem", self.folder / "config" / "leaf.key"
            shutil.copyfile(self._leaf.certificate, certificate)
            shutil.copyfile(self._leaf.private_key, private_key)
            private_key.chmod(0o600)
            text += _TLS.format(certificate=certificate, private_key=private_key)
        if self._authentication is not None:
            text += _SASL.format(authentication=self._authentication.port)
        return text + self._more

    def _lay_queue(self) -> None:
        owner, group = _identity(account("daemon"))[0], grp.getgrnam("mail").gr_gid
        spool = self.folder / "spool"
        for name in (*_OWNED, "pid", "public", "maildrop"):
            (spool / name).mkdir(mode=0o700)
        _give([spool / name for name in _OWNED] + [self.folder / "data"], owner, -1)
        _give([spool / "public", spool / "maildrop"], owner, group)
        _give([self._maildir], *_identity("nobody"))
        (spool / "public").chmod(0o710)
        (spool / "maildrop").chmod(0o730)
        (spool / "pid").chmod(0o755)

    def environment(self) -> dict[str, str]:
        """Postfix insists on root; for anyone else libraries play that, and its changes of account, to each process."""
        found = {"LD_LIBRARY_PATH": peer_environment().get("LD_LIBRARY_PATH", "")}
        if not ROOT:
            found |= {"LD_PRELOAD": "libnss_wrapper.so:libuid_wrapper.so", "UID_WRAPPER": "1", "UID_WRAPPER_ROOT": "1"}
            found |= {"NSS_WRAPPER_PASSWD": "/etc/passwd", "NSS_WRAPPER_GROUP": "/etc/group"}
        return found

    def command(self) -> list[str]:
        """The master process in the foreground."""
        return [str(unpacked("/usr/lib/postfix/sbin/master")), "-c", str(self.folder / "config"), "-d"]

    def stop(self) -> None:
        """Ends the SASL authority too."""
        super().stop()
        if self._authentication is not None:
            self._authentication.stop()

    def delivered(self) -> list[bytes]:
        """The messages in the maildir in order of arrival, as Postfix keeps them: LF line ends, its trace on top."""
        new = self._maildir / "new"
        paths = sorted(new.iterdir(), key=lambda path: path.stat().st_mtime_ns) if new.exists() else []
        return [path.read_bytes() for path in paths]

    def wait_for(self, count: int = 1, seconds: float = 30.0) -> list[bytes]:
        """The delivered messages, once there are `count`."""
        try:
            wait_until(lambda: len(self.delivered()) >= count, f"{count} messages in Postfix's maildir", seconds)
        except AssertionError as missing:
            raise AssertionError(f"{missing}; its log ends:\n{self.log[-3000:]}") from None
        return self.delivered()


def _identity(name: str) -> tuple[int, int]:
    if not ROOT:
        return os.geteuid(), os.getegid()
    found = pwd.getpwnam(name)
    return found.pw_uid, found.pw_gid


def _give(paths: list[Path], owner: int, group: int) -> None:
    if ROOT:
        for path in paths:
            os.chown(path, owner, group)
