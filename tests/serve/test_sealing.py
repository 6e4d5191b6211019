"""What is sealed opens with its key alone, and tells nothing without it, its length neither."""

import hashlib
import hmac
import secrets
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.errors import DermoscopeError
from dermoscope.serve.sealing import FILE, Keys, keyed, seal, unseal
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Case, CaseKey, Patient
from dermoscope.serve.vault import Vault

KEY = bytes(range(32))
SAID = {"answer": "refer", "suspected": "MEL", "intake": ["nail"]}


def test_what_was_said_opens_with_its_key_and_its_line() -> None:
    sealed = seal(KEY, SAID, "7")
    assert unseal(KEY, sealed, "7") == SAID
    assert b"refer" not in sealed
    for key, context, content in (
        (KEY[::-1], "7", sealed),
        (KEY, "8", sealed),
        (KEY, "7", sealed[:20]),
        (KEY, "7", b""),
    ):
        with pytest.raises(DermoscopeError, match=rf"line {context} of the audit trail does not open: it was changed"):
            unseal(key, content, context)


@given(st.integers(0, 7), st.integers(0, 283))
def test_one_other_bit_is_seen(bit: int, at: int) -> None:
    sealed = bytearray(seal(KEY, SAID, "7"))
    assert len(sealed) == 284  # nonce, one block, tag
    sealed[at] ^= 1 << bit
    with pytest.raises(DermoscopeError):
        unseal(KEY, bytes(sealed), "7")


def test_its_length_does_not_tell_the_answer() -> None:
    assert len({len(seal(KEY, {"answer": kind}, "1")) for kind in ("refer", "low_concern", "cannot_assess")}) == 1


def test_an_input_is_known_again_and_not_told() -> None:
    """The values are what an independent HMAC says."""
    part = hmac.new(KEY, b"dermoscope inputs", hashlib.sha256).digest()
    assert keyed(KEY, "P-1") == hmac.new(part, b"P-1", hashlib.sha256).hexdigest()
    assert keyed(KEY, "P-1") != keyed(secrets.token_bytes(32), "P-1")


def test_the_key_of_the_trail_is_for_nobody_else(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "service")
    assert not keys.there
    with pytest.raises(DermoscopeError, match=r"audit\.key: the key of the audit trail cannot be read \(No such file"):
        _ = keys.audit
    keys.make()
    assert stat.S_IMODE((keys.folder / FILE).stat().st_mode) == 0o600
    assert Keys(keys.folder).audit == keys.audit
    assert [path.name for path in keys.folder.iterdir()] == [FILE]
    (keys.folder / FILE).write_bytes(b"short")
    with pytest.raises(DermoscopeError, match=r"audit\.key: is no key of an audit trail; restore it from a backup"):
        _ = Keys(keys.folder).audit


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("given_key", [b"", b"k" * 32], ids=["bare", "wrapped"])
def test_keys_lie_wrapped_where_the_start_has_a_key(store: Store, tmp_path: Path, given_key: bytes) -> None:
    keys = Keys(tmp_path, Vault(given_key))
    with store.begin() as session:
        session.add(Patient(id=1, pseudonym="P"))
        session.flush()
        session.add(Case(id=5, patient_id=1, created_by="r"))
        session.flush()
        assert keys.held(session, 5) is None
        made = keys.of_case(session, 5)
    with store.read() as session:
        assert keys.held(session, 5) == made
        assert (session.get_one(CaseKey, 5).key == made) == (not given_key)
    keys.make()
    assert ((tmp_path / FILE).read_bytes() == keys.audit) == (not given_key)
