"""Secrets, found where the settings say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from relay.config.aws_secret import aws_secret
from relay.config.private_file import reasons
from relay.config.problems import ConfigError
from relay.config.seal import SealedStore
from relay.config.secret_reference import SecretReference

# Certificates with their chains are secrets too; anything longer was named by mistake.
_LARGEST: Final = 1 << 20


class Secret(str):
    """A text that shows itself to nobody by accident: its repr is masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


class Secrets:
    """Resolves references. Nothing is kept: what has changed is found at the next call.

    `environ` is the environment at start, which is fixed until restart.
    """

    def __init__(self, environ: Mapping[str, str], store: SealedStore) -> None:
        self._environ = environ
        self._store = store

    @property
    def store(self) -> SealedStore:
        """The sealed store."""
        return self._store

    def resolve(self, reference: SecretReference) -> Secret:
        """The secret. Raises ConfigError with cause and cure; `passing` where a service could not be reached.

        AWS is asked over the network: call it in a thread where `reference.aws` is set.
        """
        if reference.env is not None:
            return self._variable(reference.env)
        if reference.file is not None:
            return file_secret(reference.file)
        if reference.sealed is not None:
            return self._sealed(reference.sealed)
        return Secret(aws_secret(str(reference.aws), reference.key))

    def environ_without(self, names: frozenset[str]) -> dict[str, str]:
        """The environment for somebody else's command: without these variables, and without Relay's own."""
        own = (name for name in self._environ if name.startswith("RELAY_"))
        hidden = names.union(own)
        return {name: text for name, text in self._environ.items() if name not in hidden}

    def text_of(self, place: Path | SecretReference) -> Secret:
        """What a key that takes a path or a secret, such as private_key, stands for. Raises as resolve does."""
        return file_secret(place) if isinstance(place, Path) else self.resolve(place)

    def _variable(self, name: str) -> Secret:
        text = self._environ.get(name)
        if not text:
            state = "is not set" if text is None else "is empty"
            raise ConfigError(f"the environment variable {name} {state}; set it for the process that runs relay")
        return Secret(text)

    def _sealed(self, name: str) -> Secret:
        text = self._store.get(name)
        if text is None:
            raise ConfigError(f'the sealed store has no secret "{name}"; type: relay secret set {name}')
        return Secret(text)


def file_secret(path: Path) -> Secret:
    """A file's whole content less one final line end. Raises ConfigError."""
    with reasons(path), path.open("rb") as file:
        octets = file.read(_LARGEST + 1)
    if len(octets) > _LARGEST:
        raise ConfigError(f"{path}: too large to be a secret; name the right file")
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text in UTF-8; save it as such") from error
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not text:
        raise ConfigError(f"{path}: is empty; write the secret into it")
    return Secret(text)
