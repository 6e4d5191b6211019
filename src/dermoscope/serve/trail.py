"""The audit trail: who did what to which subject. Lines are only ever added, each chained to the one before it.

A line is written in the transaction of what it tells of, or neither is. The head says where the trail ends, sealed
under a key that the database does not hold: whoever can change the database alone can change nothing unseen.
"""

import datetime
import hmac
import json
import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermoscope.serve.chain import Line, hash_of, text_of
from dermoscope.serve.sealing import Keyed, Keys, keyed, seal, unseal
from dermoscope.serve.tables import Case, Event, Head, now

SERVICE = "service"
"""Who does what nobody asked for."""
BROKEN = "broken"
"""The seal of a head that was not what the service had left; it stays for ever, and so does what it says."""
ANCHORS = "audit.anchors"
"""The file, below the folder of the service, that says where the trail ended at which time."""
BEHIND = datetime.timedelta(seconds=5)
"""How far the clock may be behind the last line before that is recorded."""
_KEYS, _HEAD, _TRUSTED, _CASES = "trail.keys", "trail.head", "trail.trusted", "trail.cases"
_log = logging.getLogger(__name__)


def record(
    session: Session, who: str, what: str, subject: str, /, private: Mapping[str, Any] | None = None, **details: Any
) -> int:
    """Add one line, in a transaction of `Store.begin`, and return its number.

    `what` is a verb of `VERBS`, `subject` like `case/12`; `details` stand in the clear and hold nothing of a patient,
    `private` (whatever is said of a lesion) is sealed under the key of its case: the one that `case` among the details
    names (a `Case` or its number), or else the subject. A `Keyed` detail stands as its HMAC under that key, and under
    the trail's own where there is no case.
    Raises ValueError for an unknown verb (a misspelt one would never be found again), and for something private
    without a case.
    """
    if what not in VERBS:
        raise ValueError(f"no verb {what!r} of the audit trail")
    head, moment = _head(session), now()
    if head.at is not None and moment < head.at - BEHIND:
        late = (head.at - moment).total_seconds()
        _add(
            session, moment, Event(who=SERVICE, what="clock.back", subject="clock", details={"seconds": round(late, 3)})
        )
    if isinstance(details.get("case"), Case):
        details["case"] = details["case"].id
    number = head.count + 1
    told, sealed = _sealed(session, number, subject, details, private)
    return _add(session, moment, Event(who=who, what=what, subject=subject, details=told, sealed=sealed))


def keys_of(session: Session) -> Keys:
    """The keys that a session of `Store` came with."""
    keys: Keys = session.info[_KEYS]
    return keys


def with_keys(keys: Keys) -> dict[str, Any]:
    """What a session has to be told for `record`."""
    return {_KEYS: keys}


def text_of_time(moment: datetime.datetime) -> str:
    """A moment as the chain has it: UTC, always with six digits of a second.

    >>> text_of_time(datetime.datetime(2026, 3, 5, 9, 30, tzinfo=datetime.UTC))
    '2026-03-05T09:30:00.000000Z'
    """
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def text_of_head(head: Head) -> str:
    """What the head's seal is made of."""
    return f"{head.count} {head.hash} {head.base} {head.base_hash} {'' if head.at is None else text_of_time(head.at)}"


def case_of(subject: str, details: Mapping[str, Any]) -> int | None:
    """The number of the case that a line is about, or None."""
    if isinstance(details.get("case"), int):
        return int(details["case"])
    kind, _, name = subject.partition("/")
    return int(name) if kind == "case" and name.isascii() and name.isdigit() else None


def opened(session: Session, line: Event) -> Mapping[str, Any] | None:
    """What was said in a line; None where nothing was sealed, or its case was deleted.

    Raises DermoscopeError for a line that was changed. Who may see an answer is asked elsewhere: no page shows it.
    """
    case = case_of(line.subject, line.details)
    key = None if case is None or line.sealed is None else keys_of(session).held(session, case)
    return None if key is None or line.sealed is None else unseal(key, line.sealed, str(line.id))


def reseal(session: Session, head: Head) -> None:
    """Seal a head that was changed rightly; one that had been changed otherwise stays broken."""
    head.seal = keys_of(session).seal("head", text_of_head(head)) if session.info[_TRUSTED] else BROKEN


def head_of(session: Session) -> Head:
    """The head, to be changed; see `_head`."""
    return _head(session)


def _add(session: Session, moment: datetime.datetime, event: Event) -> int:
    """Chain a line to the head, which moves on."""
    head = _head(session)
    text = json.dumps(event.details, sort_keys=True, ensure_ascii=False, allow_nan=False)
    event.details = json.loads(text)  # in the order in which it is hashed, and as it will be read again
    event.id, event.at = head.count + 1, moment
    sealed = None if event.sealed is None else event.sealed.hex()
    line = Line(event.id, text_of_time(moment), event.who, event.what, event.subject, text, sealed, "")
    event.hash = hash_of(head.hash, text_of(line))
    session.add(event)
    head.count, head.hash, head.at = event.id, event.hash, moment
    reseal(session, head)
    return event.id


def _sealed(
    session: Session, number: int, subject: str, details: Mapping[str, Any], private: Mapping[str, Any] | None
) -> tuple[dict[str, Any], bytes | None]:
    """The details with hashes for inputs, and what is private as bytes."""
    keys, case = keys_of(session), case_of(subject, details)
    inputs = any(_holds_input(value) for value in details.values())
    if private is None and not inputs:
        return dict(details), None
    if private is not None and case is None:
        raise ValueError(f"something private of {subject!r}, and no case whose key it could be sealed with")
    key = keys.audit if case is None else _key(session, case)
    told = {name: _hashed(key, value) for name, value in details.items()}
    return told, None if private is None else seal(key, private, str(number))


def _key(session: Session, case: int) -> bytes:
    """The key of a case, looked up once in a transaction."""
    held: dict[int, bytes] = session.info.setdefault(_CASES, {})
    if case not in held:
        held[case] = keys_of(session).of_case(session, case)
    return held[case]


def _holds_input(value: Any) -> bool:
    return isinstance(value, Keyed) or (isinstance(value, list | tuple) and any(isinstance(v, Keyed) for v in value))


def _hashed(key: bytes, value: Any) -> Any:
    if isinstance(value, Keyed):
        return keyed(key, value.data)
    return [_hashed(key, one) for one in value] if isinstance(value, list | tuple) else value


def _head(session: Session) -> Head:
    """The head of the trail, compared with its seal once in a transaction."""
    held: Head | None = session.info.get(_HEAD)
    if held is not None:
        return held
    keys, head = keys_of(session), session.get(Head, 1)
    if not keys.there and (head is None or head.seal == ""):
        keys.make()
    if head is None:
        last = session.scalar(select(Event).order_by(Event.id.desc()).limit(1))
        trusted = last is None
        head = Head(id=1, count=0, hash="", base=0, base_hash="")
        if last is not None:
            head.count, head.hash, head.at = last.id, last.hash, last.at
        session.add(head)
    else:
        trusted = _trusted(keys, head)
    session.info[_HEAD], session.info[_TRUSTED] = head, trusted
    if not trusted:
        _log.error("the audit trail was changed by something else than the service; see `dermoscope audit verify`")
    return head


def _trusted(keys: Keys, head: Head) -> bool:
    """Whether the head is what the service left. One without a seal comes from a migration, before any anchor."""
    if head.seal == "":
        return not (keys.folder / ANCHORS).exists()
    return hmac.compare_digest(head.seal, keys.seal("head", text_of_head(head)))


VERBS = (
    "started",
    "entered",
    "case.created",
    "case.changed",
    "case.closed",
    "case.reopened",
    "image.added",
    "image.removed",
    "result.made",
    "answer.shown",
    "reading.locked",
    "reading.revised",
    "histology.entered",
    "setting.changed",
    "job.created",
    "job.cancelled",
    "classified",
    "exported",
    "stopped",
    "login.succeeded",
    "login.failed",
    "login.ended",
    "user.created",
    "user.changed",
    "user.disabled",
    "key.created",
    "key.revoked",
    "link.used",
    "case.viewed",
    "image.viewed",
    "list.viewed",
    "case.deleted",
    "patient.deleted",
    "retention.applied",
    "audit.pruned",
    "audit.exported",
    "backup.made",
    "backup.restored",
    "model.changed",
    "clock.back",
)
