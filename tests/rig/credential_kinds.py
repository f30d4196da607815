"""Each kind of credential that an upstream can have: its keys in relay.toml, and what belongs to them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificate

from relay.simulator.entra import Entra
from relay.simulator.federation import Issuer
from relay.simulator.google import GoogleAuthority
from relay.simulator.managed_identity import ManagedIdentity
from relay.simulator.options import Options
from tests.rig.toml import Value

PASSPHRASE = "the passphrase of a PFX file"


@dataclass(frozen=True, slots=True)
class Cloud:
    """What gives tokens, and the servers of Microsoft's and Google's kind that take them."""

    entra: Entra
    google: GoogleAuthority
    managed_identity: ManagedIdentity
    options: Options
    ca_file: Path
    host: str
    microsoft365_port: int
    gmail_port: int

    @property
    def token_requests(self) -> int:
        """Requests for a token so far, whichever the authority."""
        return self.entra.requests["token"] + self.managed_identity.requests + self.google.requests

    def microsoft365(self, **keys: Value) -> dict[str, Value]:
        """An [upstream.NAME] for the mailbox; the credential is among `keys`."""
        return {
            "type": "microsoft365",
            "host": self.host,
            "port": self.microsoft365_port,
            "ca_file": str(self.ca_file),
            "authority": self.entra.url,
            "mailbox": self.options.mailbox,
            "tenant": self.options.tenant,
            "client_id": self.options.client_id,
            **keys,
        }

    def gmail(self, **keys: Value) -> dict[str, Value]:
        """The same for a Google account."""
        return {
            "type": "gmail",
            "host": self.host,
            "port": self.gmail_port,
            "ca_file": str(self.ca_file),
            **keys,
        }


@dataclass(slots=True)
class Kind:
    """What a credential needs: keys of the upstream, variables; `secrets` are texts that nobody may see.

    `signs_in`: a person has to, by `relay login`.
    """

    keys: dict[str, Any]
    environ: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    signs_in: bool = False


def client_secret(cloud: Cloud, folder: Path) -> Kind:
    """A client secret in a variable."""
    secret = cloud.options.client_secret
    keys = {"credential": "client_secret", "client_secret": {"env": "CLIENT_SECRET"}}
    return Kind(cloud.microsoft365(**keys), {"CLIENT_SECRET": secret}, [secret])


def certificate(cloud: Cloud, folder: Path) -> Kind:
    """A certificate in a PEM file, its key in a variable."""
    pem, key = _issued(cloud)
    (folder / "m365.pem").write_bytes(pem)
    keys = {"credential": "certificate", "certificate": str(folder / "m365.pem"), "private_key": {"env": "KEY"}}
    return Kind(cloud.microsoft365(**keys), {"KEY": key.decode()}, [key.decode()[100:160]])


def pfx(cloud: Cloud, folder: Path) -> Kind:
    """The same in a PFX file with a passphrase."""
    pem, private = _issued(cloud)
    key = load_pem_private_key(private, None)
    assert isinstance(key, RSAPrivateKey)
    encryption = BestAvailableEncryption(PASSPHRASE.encode())
    leaf = load_pem_x509_certificate(pem)
    (folder / "m365.pfx").write_bytes(pkcs12.serialize_key_and_certificates(b"relay", key, leaf, None, encryption))
    keys = {"credential": "certificate", "pfx": str(folder / "m365.pfx"), "passphrase": {"env": "PASSPHRASE"}}
    return Kind(cloud.microsoft365(**keys), {"PASSPHRASE": PASSPHRASE}, [PASSPHRASE])


def federated_file(cloud: Cloud, folder: Path) -> Kind:
    """Another issuer's assertion, in a file as Kubernetes projects it."""
    assertion = _asserted(cloud, folder)
    keys = {"credential": "federated", "assertion": {"file": str(folder / "assertion")}}
    return Kind(cloud.microsoft365(**keys), secrets=[assertion])


def federated_command(cloud: Cloud, folder: Path) -> Kind:
    """The same, printed by a command."""
    assertion = _asserted(cloud, folder)
    keys = {"credential": "federated", "assertion": {"command": ["cat", str(folder / "assertion")]}}
    return Kind(cloud.microsoft365(**keys), secrets=[assertion])


def managed_identity(cloud: Cloud, folder: Path) -> Kind:
    """The machine itself, in Azure."""
    keys = cloud.microsoft365(credential="managed_identity")
    for key in ("authority", "tenant", "client_id"):
        del keys[key]
    return Kind(keys, {"AZURE_POD_IDENTITY_AUTHORITY_HOST": cloud.entra.origin})


def device_code(cloud: Cloud, folder: Path) -> Kind:
    """A person who signs in with a code."""
    return Kind(cloud.microsoft365(credential="device_code"), signs_in=True)


def service_account(cloud: Cloud, folder: Path) -> Kind:
    """A Workspace service account with domain-wide delegation."""
    text = cloud.google.service_account()
    (folder / "google.json").write_text(text)
    keys = {"service_account": {"file": str(folder / "google.json")}, "mailbox": cloud.options.mailbox}
    return Kind(cloud.gmail(**keys), secrets=[json.loads(text)["private_key"][100:160]])


def refresh_token(cloud: Cloud, folder: Path) -> Kind:
    """A Google user's refresh token, got elsewhere."""
    user, secret = cloud.options.gmail_user, cloud.options.google_client_secret
    token = cloud.google.refresh_token(user)
    keys: dict[str, Value] = {
        "username": user,
        "client_id": cloud.options.google_client_id,
        "client_secret": {"env": "GOOGLE_CLIENT_SECRET"},
        "refresh_token": {"env": "REFRESH_TOKEN"},
        "authority": cloud.google.url,
    }
    environ = {"GOOGLE_CLIENT_SECRET": secret, "REFRESH_TOKEN": token}
    return Kind(cloud.gmail(**keys), environ, [secret, token])


KINDS: Mapping[str, Callable[[Cloud, Path], Kind]] = {
    kind.__name__: kind
    for kind in (
        client_secret,
        certificate,
        pfx,
        federated_file,
        federated_command,
        managed_identity,
        device_code,
        service_account,
        refresh_token,
    )
}


def _issued(cloud: Cloud) -> tuple[bytes, bytes]:
    """A certificate that the application is registered with, and its key, in PEM."""
    issued = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("relay.test", key_type=trustme.KeyType.RSA)
    pem = issued.cert_chain_pems[0].bytes()
    cloud.entra.certificates.register(pem)
    return pem, issued.private_key_pem.bytes()


def _asserted(cloud: Cloud, folder: Path) -> str:
    # One for each: an issuer has one key.
    issuer = Issuer(f"https://oidc.eks.ap-southeast-2.amazonaws.test/id/{folder.name}")
    cloud.entra.federation.trust(issuer, "relay")
    assertion = issuer.assertion("relay")
    (folder / "assertion").write_text(assertion)
    return assertion
