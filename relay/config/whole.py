"""Whether what the settings refer to is there: variables, files, sealed names, certificates with their keys."""

import datetime
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from relay.config.assertion import end_of, ended, missing_command
from relay.config.aws_secret import INSTALL, installed
from relay.config.certificates import chain_in, check_pfx, mismatch, out_of_force, public_key_of, unfit_for_entra
from relay.config.draft import Draft
from relay.config.load import Loaded, load
from relay.config.microsoft365_settings import Assertion, Microsoft365Settings
from relay.config.private_file import reasons
from relay.config.problems import ConfigError, Fault, KeyPath, Problem
from relay.config.provider_settings import GmailSettings, SmtpSettings
from relay.config.references import references_in_draft
from relay.config.seal import SealedStore
from relay.config.secret_reference import SecretReference
from relay.config.secrets import Secrets, file_secret
from relay.config.service_account import service_account_in
from relay.config.ses_settings import SesSettings
from relay.config.webhook_url import webhook_url


@dataclass(frozen=True, slots=True)
class Report:
    """What `relay check` has to say."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether serve would start."""
        return not self.problems


def check(path: Path, environ: Mapping[str, str], *, form_only: bool = False) -> Report:
    """Reads the configuration and, but for `form_only`, all that it refers to. Connects nowhere, changes nothing."""
    loaded = load(path, environ)
    return Report(loaded.problems, loaded.warnings) if form_only else whole(loaded, environ)


def whole(loaded: Loaded, environ: Mapping[str, str]) -> Report:
    """All that is wrong with a configuration and with what it refers to."""
    if loaded.document is None or loaded.draft is None:
        return Report(loaded.problems, loaded.warnings)
    examination = _Examination(loaded.draft, environ)
    faults, doubts = list(examination.faults()), list(examination.doubts)
    document = loaded.document
    problems = dict.fromkeys((*loaded.problems, *map(document.problem, faults)))
    warnings = dict.fromkeys((*loaded.warnings, *map(document.problem, doubts)))
    return Report(_by_line(problems), _by_line(warnings))


def _by_line(problems: Mapping[Problem, None]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0)))


class _Examination:
    """Looks at every reference once; what depends on one that isn't there is passed over."""

    def __init__(self, draft: Draft, environ: Mapping[str, str]) -> None:
        self._draft = draft
        self._secrets = Secrets(environ, SealedStore(draft.general.state_dir, environ))
        self._now = datetime.datetime.now(datetime.UTC)
        self._absent: set[KeyPath] = set()
        self.doubts: list[Fault] = []

    def faults(self) -> Iterator[Fault]:
        """Whatever isn't there, or doesn't fit together."""
        places = []
        for reference in references_in_draft(self._draft):
            places.append(reference.place)
            text = self._wrong_with(reference.place)
            if isinstance(reference.place, SecretReference) and reference.place.aws and not installed():
                self.doubts.append(Fault(reference.path, INSTALL))
            if text is not None:
                self._absent.add(reference.path)
                yield Fault(reference.path, text)
        if not any(isinstance(each, SecretReference) and each.sealed for each in places):
            yield from self._sealed_store()
        for path, certificate, private_key, passphrase in self._pairs():
            yield from self._pair(path, certificate, private_key, passphrase)
        for name, upstream in self._draft.upstreams.items():
            path = ("upstream", name)
            yield from self._authorities(path, upstream.ca_file)
            if isinstance(upstream, SmtpSettings):
                yield from self._client_certificate(path, upstream.client_certificate)
            if isinstance(upstream, SesSettings) and upstream.via == "api" and not installed():
                yield Fault((*path, "via"), INSTALL)
            if isinstance(upstream, GmailSettings):
                yield from self._service_account((*path, "service_account"), upstream.service_account)
            if isinstance(upstream, Microsoft365Settings):
                yield from self._pfx(path, upstream.pfx, upstream.passphrase)
                yield from self._assertion((*path, "assertion"), upstream.assertion)
        yield from self._webhook(("alerts", "webhook"), self._draft.alerts.webhook)

    def _sealed_store(self) -> Iterator[Fault]:
        # Tokens are kept there too; where no key refers to it, nobody else would look before mail waits.
        try:
            self._secrets.store.verify()
        except ConfigError as error:
            yield Fault(("state_dir",), str(error))

    def _wrong_with(self, place: Path | SecretReference) -> str | None:
        try:
            if isinstance(place, Path):
                _octets(place)
            elif place.aws is None:  # nobody is asked over the network
                self._secrets.resolve(place)
        except ConfigError as error:
            return str(error)
        return None

    def _pairs(self) -> Iterator[tuple[KeyPath, Path | None, Path | SecretReference | None, SecretReference | None]]:
        if self._draft.tls is not None:
            yield ("tls",), self._draft.tls.certificate, self._draft.tls.private_key, None
        for name, upstream in self._draft.upstreams.items():
            if isinstance(upstream, Microsoft365Settings):
                yield ("upstream", name), upstream.certificate, upstream.private_key, upstream.passphrase

    def _there(self, path: KeyPath, *keys: str) -> bool:
        return all((*path, key) not in self._absent for key in keys)

    def _pair(
        self,
        path: KeyPath,
        certificate: Path | None,
        private_key: Path | SecretReference | None,
        passphrase: SecretReference | None,
    ) -> Iterator[Fault]:
        chain = public_key = None
        if certificate is not None and self._there(path, "certificate"):
            try:
                chain = chain_in(_octets(certificate))
                self._in_force((*path, "certificate"), out_of_force(chain, self._now))
                unfit = unfit_for_entra(chain) if path[0] == "upstream" else None
                if unfit is not None:
                    yield Fault((*path, "certificate"), f"{certificate}: {unfit}")
            except ConfigError as error:
                yield Fault((*path, "certificate"), f"{certificate}: {error}")
        remote = passphrase is not None and passphrase.aws is not None
        if private_key is not None and not remote and self._there(path, "private_key", "passphrase"):
            try:
                phrase = self._secrets.resolve(passphrase) if passphrase is not None else None
                public_key = self._public_key(private_key, phrase)
            except ConfigError as error:
                yield Fault((*path, "private_key"), str(error))
        if chain is not None and public_key is not None:
            wrong = mismatch(chain, public_key)
            if wrong is not None:
                yield Fault((*path, "private_key"), wrong)

    def _public_key(self, place: Path | SecretReference, passphrase: str | None) -> bytes | None:
        if isinstance(place, SecretReference) and place.aws is not None:
            return None  # nobody is asked over the network
        try:
            return public_key_of(self._secrets.text_of(place).encode(), passphrase)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from error

    def _authorities(self, path: KeyPath, ca_file: Path | None) -> Iterator[Fault]:
        if ca_file is not None and self._there(path, "ca_file"):
            try:
                chain_in(_octets(ca_file))
            except ConfigError as error:
                yield Fault((*path, "ca_file"), f"{ca_file}: {error}")

    def _client_certificate(self, path: KeyPath, pem: Path | None) -> Iterator[Fault]:
        place = (*path, "client_certificate")
        if pem is None or place in self._absent:
            return
        try:
            octets = _octets(pem)
            chain = chain_in(octets)
            wrong = mismatch(chain, public_key_of(octets))
            self._in_force(place, out_of_force(chain, self._now))
        except ConfigError as error:
            yield Fault(place, f"{pem}: {error}")
        else:
            if wrong is not None:
                yield Fault(place, f"{pem}: {wrong}")

    def _pfx(self, path: KeyPath, pfx: Path | None, passphrase: SecretReference | None) -> Iterator[Fault]:
        if pfx is None or not self._there(path, "pfx", "passphrase"):
            return
        if passphrase is not None and passphrase.aws is not None:
            return  # nobody is asked over the network
        try:
            phrase = self._secrets.resolve(passphrase) if passphrase is not None else None
            chain = check_pfx(_octets(pfx), phrase)
            self._in_force((*path, "pfx"), out_of_force(chain, self._now))
            unfit = unfit_for_entra(chain)
            if unfit is not None:
                yield Fault((*path, "pfx"), f"{pfx}: {unfit}")
        except ConfigError as error:
            yield Fault((*path, "pfx"), f"{pfx}: {error}")

    def _service_account(self, path: KeyPath, place: SecretReference | None) -> Iterator[Fault]:
        if place is None or path in self._absent or place.aws is not None:  # nobody is asked over the network
            return
        try:
            service_account_in(self._secrets.resolve(place))
        except ConfigError as error:
            yield Fault(path, f"{place}: {error}")

    def _webhook(self, path: KeyPath, place: SecretReference | None) -> Iterator[Fault]:
        if place is None or path in self._absent or place.aws is not None:  # nobody is asked over the network
            return
        try:
            webhook_url(self._secrets.resolve(place))
        except ConfigError as error:
            yield Fault(path, f"{place}: {error}")

    def _assertion(self, path: KeyPath, assertion: Assertion | None) -> Iterator[Fault]:
        if assertion is None or (*path, "file") in self._absent:
            return
        if assertion.aws is not None:
            if not installed():
                yield Fault((*path, "aws"), INSTALL)
            return
        if assertion.file is None:
            wrong = missing_command(assertion.command)
            if wrong is not None:
                yield Fault((*path, "command"), wrong)
            return
        try:
            # What has ended is renewed by somebody else, and no reason not to start.
            self._in_force((*path, "file"), ended(end_of(file_secret(assertion.file).strip(), str(assertion.file))))
        except ConfigError as error:
            yield Fault((*path, "file"), str(error))

    def _in_force(self, path: KeyPath, doubt: str | None) -> None:
        if doubt is not None:
            self.doubts.append(Fault(path, doubt))


def _octets(path: Path) -> bytes:
    with reasons(path):
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ConfigError(f"{path}: this is a folder; name the file in it")
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{path}: this is no ordinary file; name one")
        return path.read_bytes()
