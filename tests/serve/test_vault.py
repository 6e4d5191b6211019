"""Encryption of what is stored: opened by its key alone, and a folder holds to what it was begun with."""

import base64
import datetime
import hmac
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from dermoscope.core.errors import DermoscopeError, InputError, MissingDependencyError
from dermoscope.data.synthetic import draw
from dermoscope.serve.blobs import Blobs, Swept
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Patient
from dermoscope.serve.vault import CHECK, Vault, key_from

KEY, OTHER = bytes(range(32)), bytes(32)


@given(st.binary(max_size=300), st.text(max_size=20))
def test_what_was_locked_opens_again_and_shows_nothing(data: bytes, context: str) -> None:
    vault = Vault(KEY)
    for lock, unlock in ((vault.lock, vault.open), (vault.wrap, vault.unwrap)):
        locked = lock(data, context)
        assert unlock(locked, context) == data
        assert len(data) < 8 or data not in locked
        assert lock(data, context) != locked  # twice the same content is not seen to be the same
    assert Vault().lock(data, context) == Vault().unwrap(data) == data


@given(st.integers(0, 10**6), st.integers(0, 7))
def test_one_changed_bit_is_noticed(place: int, bit: int) -> None:
    locked = bytearray(Vault(KEY).lock(b"content", "x"))
    locked[place % len(locked)] ^= 1 << bit
    with pytest.raises(DermoscopeError, match="does not open: it is damaged, or of another key; restore it from a ba"):
        Vault(KEY).open(bytes(locked), "x")


def test_nothing_opens_with_another_key_for_another_use_or_cut_off() -> None:
    locked = Vault(KEY).lock(b"content", "x")
    for vault, data, context in (
        (Vault(OTHER), locked, "x"),
        (Vault(KEY), locked, "y"),
        (Vault(KEY), locked[:10], "x"),
        (Vault(KEY), b"content", "x"),
    ):
        with pytest.raises(DermoscopeError, match="does not open"):
            vault.open(data, context)
    with pytest.raises(DermoscopeError, match="does not open"):
        Vault(KEY).unwrap(locked, "x")


def test_names_of_files_tell_nothing_without_the_key() -> None:
    assert Vault().name("ab" * 32) == "ab" * 32
    named = Vault(KEY).name("ab" * 32)
    assert named == Vault(KEY).name("ab" * 32) != Vault(OTHER).name("ab" * 32)
    assert len(bytes.fromhex(named)) == 32


def test_every_purpose_has_its_key() -> None:
    vault = Vault(KEY)
    assert len({KEY, vault.derived("a"), vault.derived("b"), vault.derived("a", b"salt")}) == 4
    drawn_out = hmac.digest(bytes(32), KEY, "sha256")  # HKDF as RFC 5869 writes it
    assert vault.derived("a") == hmac.digest(drawn_out, b"dermoscope a\x01", "sha256")
    assert repr(KEY) not in repr(vault)
    with pytest.raises(ValueError, match="there is no key"):
        Vault().derived("a")


def test_a_key_is_base64_of_32_bytes() -> None:
    assert key_from("") == key_from(" \n") == b""
    odd = b"\xfb\xff" * 16
    assert key_from(base64.b64encode(odd).decode() + "\n") == key_from(base64.urlsafe_b64encode(odd).decode()) == odd
    with pytest.raises(InputError, match=r"holds 31 bytes and needs 32; make one with `openssl rand -base64 32`"):
        key_from(base64.b64encode(bytes(31)).decode())
    for wrong in ("no base64!", "ä" * 43, "A"):
        with pytest.raises(InputError, match="DERMOSCOPE_KEY is no base64; make one with") as raised:
            key_from(wrong)
        assert wrong not in str(raised.value) or wrong == "A"
    with pytest.raises(InputError, match="a key of 5 bytes was given"):
        Vault(b"12345")


def test_a_folder_holds_to_the_key_it_was_begun_with(tmp_path: Path) -> None:
    options = Options(folder=tmp_path / "new", key=KEY)
    Vault.of(options)
    assert [path.name for path in options.folder.iterdir()] == [CHECK]
    assert options.folder.stat().st_mode & 0o777 == 0o700
    Vault.of(options)
    with pytest.raises(InputError, match=r"new: is encrypted; give its key in DERMOSCOPE_KEY"):
        Vault.of(replace(options, key=b""))
    with pytest.raises(InputError, match=r"new: was encrypted with another key; give that in DERMOSCOPE_KEY"):
        Vault.of(replace(options, key=OTHER))


@pytest.mark.parametrize("name", ["dermoscope.sqlite", "blobs"])
def test_a_folder_begun_without_a_key_takes_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    Vault.of(Options(folder=tmp_path))
    with pytest.raises(InputError, match=rf"was begun without a key \({name} is there\); start without DERMOSCOPE_KEY"):
        Vault.of(Options(folder=tmp_path, key=KEY))
    assert not (tmp_path / CHECK).exists()


@pytest.fixture
def locked(tmp_path: Path) -> Options:
    pytest.importorskip("sqlcipher3", reason="sqlcipher3 is not installed: no encrypted SQLite")
    return Options(folder=tmp_path / "locked", key=KEY)


def test_nothing_in_a_folder_with_a_key_can_be_read_without_it(locked: Options) -> None:
    blobs, picture = Blobs(locked.folder, Vault.of(locked)), draw(1, "NV").jpeg()
    store = Store.open(locked)
    try:
        digest = blobs.put(picture)
        with store.begin() as session:
            blobs.use(session, digest, "image/jpeg", len(picture))
            session.add(Patient(pseudonym="Quittenbaum"))
        small = blobs.thumbnail(digest, 160)
        assert blobs.thumbnail(digest, 160) == small
        assert blobs.read(digest) == picture
        raw = b"".join(path.read_bytes() for path in locked.folder.rglob("*") if path.is_file())
        for mark in (b"Quittenbaum", b"SQLite", b"patients", b"JFIF", picture[9000:9100], small[:100]):
            assert mark not in raw
        assert not list(locked.folder.rglob(f"*{digest[:8]}*"))
        assert blobs.put(picture) == digest  # known again
        assert blobs.sweep(store, datetime.timedelta(0)) == Swept(0, 0, 0)
        with store.begin() as session:
            blobs.release(session, digest)
        assert blobs.remove_unused(store) == 1
        left_over = blobs.path(blobs.put(b"of nobody"))
        assert blobs.sweep(store, datetime.timedelta(0)).files == 1
        assert not left_over.exists()
    finally:
        store.close()
    store = Store.open(locked)
    with store.read() as session:
        assert session.scalar(select(Patient.pseudonym)) == "Quittenbaum"
    store.close()


def test_a_locked_picture_that_was_changed_or_moved_is_not_shown(locked: Options) -> None:
    blobs = Blobs(locked.folder, Vault.of(locked))
    one, other = blobs.put(b"one"), blobs.put(b"two")
    blobs.path(one).write_bytes(blobs.path(other).read_bytes())
    with pytest.raises(DermoscopeError, match=r"blobs/../[0-9a-f]{64}: what was encrypted does not open: it is dam"):
        blobs.read(one)


def test_other_keys_open_no_database(locked: Options) -> None:
    Store.open(locked).close()
    (locked.folder / CHECK).unlink()
    with pytest.raises(InputError, match=r"was begun without a key \(dermoscope.sqlite is there\)"):
        Store.open(locked)
    with pytest.raises(InputError, match=r"cannot be opened \(file is not a database\)"):
        Store.open(replace(locked, key=b""))


def test_without_its_package_an_encrypted_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlcipher3", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dermoscope\[encryption\]', or name a PostgreSQL"):
        Store.open(Options(folder=tmp_path / "new", key=KEY))
