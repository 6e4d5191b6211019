"""The chain: lines without gaps, in the transaction of what they tell of, whoever writes at the same time."""

import datetime
import hashlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import String, cast, delete, select

from dermoscope.core.errors import DermoscopeError
from dermoscope.serve import trail
from dermoscope.serve.chain import Line, hash_of, text_of
from dermoscope.serve.options import Options
from dermoscope.serve.sealing import FILE, Keyed
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Case, CaseKey, Event, Head, Patient

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def with_case(store: Store, number: int = 5) -> None:
    with store.begin() as session:
        session.add(Patient(id=number, pseudonym=f"P-{number}"))
        session.flush()
        session.add(Case(id=number, patient_id=number, created_by="r"))


def events(store: Store) -> list[Event]:
    with store.read() as session:
        return list(session.scalars(select(Event).order_by(Event.id)))


def test_the_first_lines_hash_is_what_the_decision_record_says(store: Store) -> None:
    """By hand, with nothing of the service: ADR 0016."""
    with store.begin() as session:
        trail.record(session, "Müller", "started", "service", version="1", model="ab", prior={"NV": 0.1, "MEL": 1e-7})
    (line,) = events(store)
    text = (
        f'{{"at": "{line.at:%Y-%m-%dT%H:%M:%S.%f}Z", "details": {{"model": "ab", "prior": {{"MEL": 1e-07, "NV": 0.1}}, '
        '"version": "1"}, "number": 1, "sealed": null, "subject": "service", "what": "started", "who": "Müller"}'
    )
    assert line.hash == hashlib.sha256(text.encode()).hexdigest()


def test_lines_are_chained_and_the_head_knows_the_last(store: Store) -> None:
    with_case(store)
    with store.begin() as session:
        numbers = [trail.record(session, "r", "case.viewed", "case/5", n=k) for k in range(3)]
    with store.begin() as session:
        numbers.append(trail.record(session, "r", "reading.locked", "case/5", {"decision": "refer"}, aided=False))
    assert numbers == [1, 2, 3, 4]
    before = ""
    for line in events(store):
        details = json.dumps(line.details, sort_keys=True)
        sealed = None if line.sealed is None else line.sealed.hex()
        at = trail.text_of_time(line.at)
        before = hash_of(before, text_of(Line(line.id, at, line.who, line.what, line.subject, details, sealed, "")))
        assert line.hash == before
    with store.read() as session:
        head = session.get_one(Head, 1)
        assert (head.count, head.hash, head.at) == (4, before, line.at)
        assert head.seal == trail.keys_of(session).seal("head", trail.text_of_head(head))


def test_what_is_said_of_a_lesion_is_sealed_and_goes_with_its_key(store: Store) -> None:
    with_case(store)
    with store.begin() as session:
        trail.record(session, "r", "case.created", "case/5", {"body_site": "nail"}, patient=Keyed("P-5"))
        trail.record(session, "r", "image.added", "image/9", None, case=session.get_one(Case, 5), input=Keyed("d"))
    first, second = events(store)
    assert b"nail" not in (first.sealed or b"")
    assert "P-5" not in str(first.details)
    assert (second.sealed, second.details["case"], len(second.details["input"])) == (None, 5, 64)
    with store.begin() as session:
        assert trail.opened(session, first) == {"body_site": "nail"}
        assert trail.opened(session, second) is None
        session.execute(delete(CaseKey))
    with store.read() as session:
        assert trail.opened(session, first) is None


@sqlite
def test_the_same_input_has_one_hash_in_a_case_and_another_elsewhere(store: Store) -> None:
    for number in (5, 6):
        with_case(store, number)
    with store.begin() as session:
        for number in (5, 5, 6):
            trail.record(session, "r", "image.added", "image/1", case=number, input=[Keyed("d"), Keyed("e")])
        trail.record(session, "r", "classified", "api", inputs=(Keyed("d"),))
    a, b, c, d = (line.details.get("input") or line.details["inputs"] for line in events(store))
    assert a == b
    assert len({a[0], a[1], c[0], c[1], d[0]}) == 5


@sqlite
def test_what_cannot_be_recorded_is_refused(store: Store) -> None:
    with store.begin() as session:
        with pytest.raises(ValueError, match=r"no verb 'case\.veiwed' of the audit trail"):
            trail.record(session, "r", "case.veiwed", "case/5")
        with pytest.raises(ValueError, match="something private of 'api', and no case whose key"):
            trail.record(session, "r", "classified", "api", {"answer": "refer"})
    assert events(store) == []


def test_a_transaction_that_fails_leaves_no_line_and_no_gap(store: Store) -> None:
    with store.begin() as session:
        trail.record(session, "r", "started", "service")
    with pytest.raises(ZeroDivisionError), store.begin() as session:  # noqa: PT012 - the transaction is the point
        trail.record(session, "r", "stopped", "service")
        session.flush()
        raise ZeroDivisionError
    with store.begin() as session:
        trail.record(session, "r", "stopped", "service")
    assert [line.id for line in events(store)] == [1, 2]


@sqlite
def test_a_clock_that_goes_back_is_recorded_before_what_comes_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime.datetime(2026, 3, 5, 12, tzinfo=datetime.UTC)
    for late in (0.0, 4.9, 3600.0, 3600.0):
        monkeypatch.setattr(trail, "now", lambda late=late: start - datetime.timedelta(seconds=late))
        with store.begin() as session:
            trail.record(session, "r", "list.viewed", "cases")
    verbs = ["list.viewed", "list.viewed", "clock.back", "list.viewed", "list.viewed"]
    found = events(store)
    assert [line.what for line in found] == verbs
    assert (found[2].who, found[2].details) == ("service", {"seconds": 3595.1})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@sqlite
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(details=st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_whatever_the_details_are_they_come_back_as_they_were_hashed(store: Store, details: dict[str, Any]) -> None:
    """The database holds the very text that was hashed: nobody has to write numbers the way Python does."""
    with store.begin() as session:
        number = trail.record(session, "r", "setting.changed", "setting/x", None, after=details)
    with store.read() as session:
        raw = session.scalar(select(cast(Event.details, String)).where(Event.id == number))
        assert raw == json.dumps({"after": details}, sort_keys=True, ensure_ascii=False)


def test_a_head_that_something_else_changed_is_never_sealed_again(store: Store) -> None:
    with store.begin() as session:
        trail.record(session, "r", "started", "service")
    with store.begin() as session:
        session.get_one(Head, 1).at = None
    for _ in range(2):
        with store.begin() as session:
            trail.record(session, "r", "list.viewed", "cases")
    with store.read() as session:
        assert session.get_one(Head, 1).seal == trail.BROKEN
    assert [line.id for line in events(store)] == [1, 2, 3]


@sqlite
def test_a_trail_whose_key_is_gone_is_not_gone_on_with(store: Store, options: Options) -> None:
    with store.begin() as session:
        trail.record(session, "r", "started", "service")
    (options.folder / FILE).unlink()
    again = Store.open(options)
    with pytest.raises(DermoscopeError, match=r"audit\.key: .* restore it from a backup"), again.begin() as session:
        trail.record(session, "r", "started", "service")
    again.close()
    assert not (options.folder / FILE).exists()
