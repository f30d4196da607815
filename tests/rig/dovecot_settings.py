"""Dovecot's configuration in the dialects of its versions 2.3 (Debian 12, Ubuntu 24.04) and 2.4 (Debian 13)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """Texts with {placeholders}. `frame` is common to all instances; `validation` is a file of its own where not empty.

    `launcher` are the options with which doveconf becomes the master.
    """

    frame: str
    authentication: str
    submission: str
    validation: str
    launcher: tuple[str, ...]


_SERVICES = """
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""
_AUTHENTICATION_SERVICE = """
service auth {{
  user = {internal}
  inet_listener postfix {{
    port = {port}
  }}
}}
"""
_SUBMISSION_SERVICE = """
protocols = submission
hostname = dovecot.example.test
ssl = yes
auth_mechanisms = {mechanisms}
submission_relay_host = 127.0.0.1
submission_relay_port = {relay_port}
submission_max_mail_size = 200M
service submission-login {{
  chroot =
  inet_listener submission {{
    port = {port}
  }}
  inet_listener submissions {{
    port = 0
  }}
}}
"""

_COMMON = """
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
"""

_USERS_2_3 = """
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={internal} gid={internal_group} home={folder}/home
}}
"""

DOVECOT_2_3 = Dialect(
    frame=_COMMON
    + _SERVICES
    + """
disable_plaintext_auth = no
import_environment = TZ LD_LIBRARY_PATH={libraries}
""",
    authentication="""
protocols =
ssl = no
auth_mechanisms = plain login cram-md5
"""
    + _USERS_2_3
    + _AUTHENTICATION_SERVICE,
    submission="""
ssl_cert = <{certificate}
ssl_key = <{private_key}
mail_location = maildir:~/Maildir
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2
}}
"""
    + _USERS_2_3
    + _SUBMISSION_SERVICE,
    validation="""
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = upn
issuers = {issuer}
""",
    launcher=("-f", "service=master", "-m", "master", "-e"),
)

_USERS_2_4 = """
passdb passwd-file {{
  passwd_file_path = {folder}/users
  default_password_scheme = PLAIN
}}
userdb static {{
  fields {{
    uid = {internal}
    gid = {internal_group}
    home = {folder}/home
  }}
}}
"""

DOVECOT_2_4 = Dialect(
    frame="""
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
"""
    + _COMMON
    + _SERVICES
    + """
auth_allow_cleartext = yes
import_environment {{
  LD_LIBRARY_PATH = {libraries}
}}
""",
    authentication="""
protocols =
ssl = no
auth_mechanisms = plain login cram-md5
"""
    + _USERS_2_4
    + _AUTHENTICATION_SERVICE,
    submission="""
ssl_server_cert_file = {certificate}
ssl_server_key_file = {private_key}
mail_driver = maildir
mail_path = ~/Maildir
oauth2 {{
  introspection_mode = local
  username_attribute = upn
  issuers = {issuer}
  oauth2_local_validation {{
    dict fs {{
      fs posix {{
        prefix = {folder}/keys/
      }}
    }}
  }}
}}
passdb oauth2 {{
  mechanisms_filter = xoauth2 oauthbearer
}}
"""
    + _USERS_2_4
    + _SUBMISSION_SERVICE,
    validation="",
    launcher=("-C", "-F"),
)
