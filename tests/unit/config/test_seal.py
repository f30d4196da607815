import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.config.problems import ConfigError
from relay.config.seal import LOCK, STORE, SealedStore
from relay.config.seal_key import key_from

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(32)).decode()


def store(folder: Path, key: str | None = KEY) -> SealedStore:
    return SealedStore(folder / "state", {"RELAY_SEAL_KEY": key} if key else {})


def test_what_is_set_is_found_again_and_can_be_removed(tmp_path: Path) -> None:
    store(tmp_path).set("office365", "hunter2")
    assert store(tmp_path).get("office365") == "hunter2"
    store(tmp_path).set("office365", "ünï\n")
    assert store(tmp_path).get("office365") == "ünï\n"
    assert store(tmp_path).remove("office365") is True
    assert store(tmp_path).remove("office365") is False
    assert store(tmp_path).get("office365") is None


def test_an_empty_store_needs_no_file_and_makes_none(tmp_path: Path) -> None:
    assert store(tmp_path, None).get("x") is None
    assert store(tmp_path, None).names() == ()
    assert store(tmp_path, None).remove("x") is False
    assert not (tmp_path / "state").exists()


def test_names_are_listed_with_their_time_but_for_the_relays_own(tmp_path: Path) -> None:
    sealed = store(tmp_path)
    sealed.set("b", "1")
    sealed.set("token:office365", "2")
    sealed.set("a", "3")
    names = sealed.names()
    assert [each.name for each in names] == ["a", "b"]
    assert names[1].set_at <= names[0].set_at
    assert sealed.get("token:office365") == "2"


@pytest.mark.parametrize("name", ["", "a b", "../x", "token:", "ä", "a\n", "x" * 200])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is no name for a secret; use letters"):
        store(tmp_path).set(name, "x")


def test_nothing_of_a_secret_or_its_name_is_readable_on_disk(tmp_path: Path) -> None:
    store(tmp_path).set("office365", "hunter2hunter2")
    for file in (tmp_path / "state").iterdir():
        assert b"hunter2" not in file.read_bytes()
        assert b"office365" not in file.read_bytes()
        assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert {file.name for file in (tmp_path / "state").iterdir()} == {STORE, LOCK}


def test_a_key_of_its_own_is_made_at_first_use(tmp_path: Path) -> None:
    store(tmp_path, None).set("a", "x")
    key = tmp_path / "state/seal.key"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    store(tmp_path, None).set("b", "y")
    assert key.read_bytes() == before
    assert store(tmp_path, None).get("a") == "x"


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(b"\xff" * 32),
        base64.urlsafe_b64encode(b"\xff" * 32),
        base64.urlsafe_b64encode(b"\xff" * 32).rstrip(b"="),
        base64.b64encode(b"\xff" * 32) + b"\n",
        b"\xff" * 32,
    ],
)
def test_forms_of_a_key(text: bytes) -> None:
    assert key_from(text, "X") == b"\xff" * 32


@pytest.mark.parametrize("text", [b"", b"short", base64.b64encode(bytes(31)), b"!" * 44, "ü".encode() * 22])
def test_what_is_no_key(text: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^X: not a key; it is 32 octets in base64"):
        key_from(text, "X")


def test_the_first_place_that_has_a_key_counts(tmp_path: Path) -> None:
    named, credentials = tmp_path / "named.key", tmp_path / "credentials"
    credentials.mkdir()
    own, in_file, credential, variable = (base64.b64encode(bytes([n]) * 32).decode() for n in range(4))
    (tmp_path / "state").mkdir()
    (tmp_path / "state/seal.key").write_text(own)
    environ: dict[str, str] = {}

    def sealed_with(key: str) -> bool:
        """Whether what this environment seals opens with the key."""
        SealedStore(tmp_path / "state", environ).set("a", "x")
        opened = SealedStore(tmp_path / "state", {"RELAY_SEAL_KEY": key}).get("a") == "x"
        (tmp_path / "state" / STORE).unlink()
        return opened

    assert sealed_with(own)
    environ["CREDENTIALS_DIRECTORY"] = str(credentials)
    assert sealed_with(own)
    (credentials / "relay-seal-key").write_text(credential)
    assert sealed_with(credential)
    environ["RELAY_SEAL_KEY_FILE"] = str(named)
    named.write_text(in_file)
    assert sealed_with(in_file)
    environ["RELAY_SEAL_KEY"] = variable
    assert sealed_with(variable)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"RELAY_SEAL_KEY": OTHER}, "sealed with another key than RELAY_SEAL_KEY; give it the key it had"),
        ({"RELAY_SEAL_KEY": "rubbish"}, "RELAY_SEAL_KEY: not a key; it is 32 octets in base64"),
        ({"RELAY_SEAL_KEY_FILE": "/nonexistent/key"}, "RELAY_SEAL_KEY_FILE: there is no file /nonexistent/key"),
        ({}, "its key is missing; bring back"),
    ],
)
def test_a_wrong_key_is_one_clear_error(tmp_path: Path, environ: Mapping[str, str], said: str) -> None:
    store(tmp_path).set("a", "x")
    before = (tmp_path / "state" / STORE).read_bytes()
    other = SealedStore(tmp_path / "state", environ)
    for act in (lambda: other.get("a"), other.names, lambda: other.set("a", "y"), lambda: other.remove("a")):
        with pytest.raises(ConfigError) as caught:
            act()
        assert said in str(caught.value)
    assert (tmp_path / "state" / STORE).read_bytes() == before
    assert not (tmp_path / "state/seal.key").exists()


def test_any_damage_is_one_clear_error(tmp_path: Path) -> None:
    store(tmp_path).set("a", "x")
    path = tmp_path / "state" / STORE
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    for octets in damaged:
        path.write_bytes(octets)
        with pytest.raises(ConfigError, match=r"damaged; bring it back|sealed with another key") as caught:
            store(tmp_path).get("a")
        assert str(path) in str(caught.value)


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(ConfigError, match=r"state: (File exists|Not a directory); "):
        store(tmp_path).set("a", "x")


def test_threads_lose_no_secret(tmp_path: Path) -> None:
    threads = [threading.Thread(target=store(tmp_path).set, args=(f"name-{n}", "x")) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store(tmp_path).names()) == 16


def test_processes_lose_no_secret_and_make_one_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from relay.config.seal import SealedStore\n"
        "for n in range(5): SealedStore(Path(sys.argv[1]), {}).set(f'name-{sys.argv[2]}-{n}', 'x')"
    )
    state = str(tmp_path / "state")
    writers = [subprocess.Popen([sys.executable, "-c", program, state, str(each)]) for each in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    assert len(SealedStore(tmp_path / "state", {}).names()) == 20


def test_what_root_makes_belongs_to_the_folders_owner(tmp_path: Path) -> None:
    # Only root has somebody else to make files for.
    owner = (12345, 12346) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", *owner)
    store(tmp_path, None).set("a", "x")
    owners = {(file.name, file.stat().st_uid, file.stat().st_gid) for file in (tmp_path / "state").iterdir()}
    assert owners == {(name, *owner) for name in (STORE, LOCK, "seal.key")}


def test_a_token_cache_of_some_size_is_kept(tmp_path: Path) -> None:
    cache = json.dumps({"AccessToken": {str(n): "x" * 4000 for n in range(50)}})
    store(tmp_path).set("token:office365", cache)
    assert store(tmp_path).get("token:office365") == cache
