"""Whether the audit trail is what the service wrote; taking it along; forgetting what is too old.

Everything is read in pages of one consistent look, so that a million lines take no more memory than a thousand.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import chain as joined
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import String, case, cast, delete, func, literal, select
from sqlalchemy.orm import Session

from dermoscope.core.errors import DermoscopeError, InputError
from dermoscope.data.store import write_file
from dermoscope.serve import anchors
from dermoscope.serve.accounts import Person
from dermoscope.serve.anchors import Anchor, BadAnchor
from dermoscope.serve.chain import Checked, End, Line, checked, text_of
from dermoscope.serve.desk import LARGEST, Service
from dermoscope.serve.sealing import Keys, unseal
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Event, Head, now
from dermoscope.serve.trail import (
    ANCHORS,
    BROKEN,
    SERVICE,
    case_of,
    head_of,
    keys_of,
    opened,
    record,
    reseal,
    text_of_head,
    text_of_time,
)

VERIFIED = "audit.verified"
"""The file, below the folder of the service, that holds what the last `verify` found."""
MOST = 20
"""Findings that are told; where a chain was made anew there would be one for each line."""
_PAGE = 2000
_SHOWN = re.compile(r'\{"hash": "([0-9a-f]{64})", "line": (\{.*\})\}\n?')
_SAID = '{"said": '
Known = Iterator[Anchor | BadAnchor]
Told = Callable[[int, int], None]
"""Told of progress: lines that were looked at, and how many there are."""


@dataclass(frozen=True)
class Verified:
    """What `verify` found: lines `first` to `last`, the hash of the last, anchors compared, and what is wrong, if any.

    `sealed` is False where there was no key to compare the end with (an export, elsewhere). `at` is when that was.
    """

    first: int
    last: int
    hash: str
    anchors: int
    wrong: tuple[str, ...]
    at: str
    sealed: bool = True

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return self.last - self.first + 1

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"ok": self.ok, "lines": self.lines, **asdict(self), "wrong": list(self.wrong)}


def verify(store: Store, told: Told = lambda _done, _of: None) -> Verified:
    """Compare every line with the one before it, the last with the head, the head with its seal, and with all anchors.

    What was changed, deleted, inserted, moved or given another number is named, the first of it first. The outcome is
    noted in the folder, for the pages. Raises DermoscopeError where the key of the trail cannot be read.
    """
    with store.read() as session:
        keys = keys_of(session)
        path = keys.folder / ANCHORS
        size = path.stat().st_size if path.exists() else 0  # before the first look: what comes after it is later
        try:
            head = _plain_head(session)
        except (ValueError, TypeError):  # SQLite takes any value for any column
            head = None
        if head is None:
            found = _without_head(session, size)
        else:
            known = anchors.read(path, keys, size)
            found = _verified(keys, head, _texts(session, head.base), known, told)
            found = replace(found, wrong=(*found.wrong, *_closed_for_good(session))[:MOST])
    write_file(keys.folder / VERIFIED, json.dumps(found.as_dict(), ensure_ascii=False).encode())
    return found


def last_verified(keys: Keys) -> dict[str, Any] | None:
    """What the last `verify` found, or None."""
    try:
        found: dict[str, Any] = json.loads((keys.folder / VERIFIED).read_bytes())
    except (OSError, ValueError):
        return None
    return found


def verify_export(path: Path, keys: Keys | None = None) -> Verified:
    """Whether an export is one unbroken chain; with the keys of its service also whether that service wrote it.

    Raises InputError for a file that is no export.
    """
    try:
        with path.open(encoding="utf-8") as file:
            said = _first(path, file.readline())
            end = End(said["count"], said["hash"])
            found = _followed(End(said["base"], said["base_hash"]), _exported(path, file), iter(()))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); name a file of `dermoscope audit export`") from None
    wrong = [*found.wrong, *_ends(found, end)]
    named = str(said["text"]).startswith(f"{end.number} {end.hash} ")
    if keys is not None and not (named and said["seal"] == keys.seal("head", said["text"])):
        wrong.append("its first line was not sealed by this service")
    return replace(found, wrong=tuple(wrong[:MOST]), sealed=keys is not None)


def exported(session: Session, after: int = 0, *, said: bool = False) -> Iterator[str]:
    """The trail as lines of JSON: first its head, then each line with its hash, exactly as it was hashed.

    `after` leaves out the lines up to that number; `said` adds, in lines of their own, what was sealed, where its key
    is still there. Raises InputError where there is no line `after`.
    """
    head = session.get(Head, 1) or Head(id=1, count=0, hash="", base=0, base_hash="", seal="")
    begin = End(head.base, head.base_hash)
    if after > head.base:
        held = session.get(Event, after)
        if held is None:
            raise no_line(session, after)
        begin = End(after, held.hash)
    names = {"count": head.count, "hash": head.hash, "base": begin.number, "base_hash": begin.hash, "seal": head.seal}
    yield json.dumps({"trail": {**names, "text": text_of_head(head), "at": text_of_time(now())}}) + "\n"
    for number, text, hash_ in _texts(session, begin.number):
        yield f'{{"hash": "{hash_}", "line": {text}}}\n'
        if said:
            yield from _said(session, number)


def taken(service: Service, person: Person, after: int = 0) -> Iterator[str]:
    """The trail for a person to take along; that it was is its last line.

    Raises InputError where there is no line `after`.
    """
    with service.desk(person) as desk:
        if after and desk.find(Event, after) is None:
            raise no_line(desk.session, after)
        desk.record("audit.exported", "audit", after=after)

    def lines() -> Iterator[str]:
        with service.looking(person) as desk:
            yield from exported(desk.session, after)

    return lines()


def no_line(session: Session, number: int) -> InputError:
    """What is said where a line is asked for that is not there."""
    head = session.get(Head, 1)
    return InputError(f"there is no line {number} of the audit trail; it ends with line {head.count if head else 0}")


def prune(store: Store, days: int) -> int:
    """Remove the lines that are older than `days`, and note in a new line that they were there; returns how many.

    The chain begins after them from then on: the head says where, sealed. Raises InputError for less than one day.
    """
    if days < 1:
        raise InputError(f"{days} days; the audit trail is kept for one day at least")
    with store.begin() as session:
        head, before = head_of(session), now() - timedelta(days=days)
        kept = session.scalar(select(func.min(Event.id)).where(Event.at >= before))
        upto = (head.count if kept is None else kept - 1) if head.count else 0
        if upto <= head.base:
            return 0
        last = session.get_one(Event, upto)
        removed = upto - head.base
        record(session, SERVICE, "audit.pruned", "audit", lines=removed, upto=upto, hash=last.hash, days=days)
        head.base, head.base_hash = upto, last.hash
        reseal(session, head)
        session.flush()
        session.execute(delete(Event).where(Event.id <= upto).execution_options(synchronize_session=False))
        anchors.drop(keys_of(session), upto)
    return removed


def _verified(keys: Keys, head: Head, lines: Iterable[tuple[int, str, str]], known: Known, told: Told) -> Verified:
    found = _followed(End(head.base, head.base_hash), lines, known, lambda done: told(done, head.count - head.base))
    wrong = [*found.wrong, *_ends(found, End(head.count, head.hash))]
    if head.seal == BROKEN:
        wrong.append("the head of the trail was changed by something else than the service, which went on after it")
    elif head.seal == "":
        wrong += ["the head of the trail bears no seal"] if keys.there and (keys.folder / ANCHORS).exists() else []
    elif head.seal != keys.seal("head", text_of_head(head)):
        wrong.append("the seal of the trail's head is wrong: something else than the service wrote it")
    return replace(found, wrong=tuple(wrong[:MOST]))


def _followed(
    begin: End,
    lines: Iterable[tuple[int, str, str]],
    known: Known,
    told: Callable[[int], None] = lambda _: None,
) -> Verified:
    """The chain from its beginning, and the anchors beside it."""
    wrong: list[str] = []
    number, hash_, held = begin.number, begin.hash, 0
    ahead = next(known, None)
    for count, line in enumerate(checked(lines, begin), start=1):
        if line.wrong is not None and len(wrong) < MOST:
            wrong.append(line.wrong)
        ahead, compared = _compare(ahead, known, line, wrong)
        number, hash_, held = line.number, line.hash, held + compared
        if count % _PAGE == 0:
            told(count)
    for later in islice(joined([] if ahead is None else [ahead], known), MOST):
        if isinstance(later, BadAnchor):
            wrong.append(f"line {later.line} of the file of anchors was not written by this service")
        elif later.number > number:
            wrong.append(f"lines {number + 1} to {later.number} are missing at the end: they were there on {later.at}")
    return Verified(begin.number + 1, number, hash_, held, tuple(wrong[:MOST]), text_of_time(now()))


def _compare(
    ahead: Anchor | BadAnchor | None,
    known: Known,
    line: Checked,
    wrong: list[str],
) -> tuple[Anchor | BadAnchor | None, int]:
    """Compare a line with its anchors; returns the next anchor that is to come, and how many fitted."""
    held = 0
    while ahead is not None and (isinstance(ahead, BadAnchor) or ahead.number <= line.number):
        if isinstance(ahead, BadAnchor):
            wrong.append(f"line {ahead.line} of the file of anchors was not written by this service")
        elif ahead.number == line.number:
            held += 1
            if ahead.hash != line.hash:
                wrong.append(f"line {line.number} is another one than on {ahead.at}: the trail was made anew")
        ahead = next(known, None)
    return ahead, held


def _ends(found: Verified, end: End) -> list[str]:
    """Whether the chain ends where the head says."""
    if found.last < end.number:
        return [f"lines {found.last + 1} to {end.number} are missing at the end"]
    if found.last > end.number:
        return [f"lines {end.number + 1} to {found.last} were added by something else than the service"]
    if found.hash != end.hash:
        return [f"line {found.last} is not the one that the head of the trail knows"]
    return []


def _closed_for_good(session: Session) -> Iterator[str]:
    """Cases that were not deleted, and whose key does not open the first line that was sealed with it."""
    subject = cast(Event.subject, String)
    gone = set(session.scalars(select(subject).where(Event.what == "case.deleted")))
    sealed = select(func.min(Event.id)).where(Event.sealed.is_not(None), subject.like("case/%")).group_by(subject)
    first = select(Event.id, subject, Event.sealed).where(Event.id.in_(sealed)).order_by(Event.id)
    for number, named, data in session.execute(first).all():
        case_id = case_of(named, {})
        if named in gone or case_id is None:
            continue
        try:
            key = keys_of(session).held(session, case_id) if case_id <= LARGEST else None
            if key is not None and data is not None and unseal(key, data, str(number)) is not None:
                continue
        except (DermoscopeError, TypeError):
            pass
        yield f"line {number} opens no more, and {named} was not deleted: its key was taken or changed"


def _plain_head(session: Session) -> Head | None:
    """The head. Raises ValueError or TypeError where it holds what the service never writes."""
    head = session.get(Head, 1)
    if head is not None and not all(isinstance(n, int) for n in (head.count, head.base)):
        raise TypeError
    if head is not None and not all(isinstance(t, str) for t in (head.hash, head.base_hash, head.seal)):
        raise TypeError
    return head


def _without_head(session: Session, size: int) -> Verified:
    lines = session.scalar(select(func.count()).select_from(Event)) or 0
    wrong = ("the head of the trail is missing, or holds what the service never writes",) if lines or size else ()
    return Verified(1, lines, "", 0, wrong, text_of_time(now()))


def _texts(session: Session, after: int) -> Iterator[tuple[int, str, str]]:
    """Number, text and hash of every line after one, as the database holds them."""
    columns = _columns(session.get_bind().dialect.name)
    while True:
        page = session.execute(select(*columns).where(Event.id > after).order_by(Event.id).limit(_PAGE)).all()
        for row in page:
            sealed = None if row[6] is None else row[6].lower()
            yield row[0], text_of(Line(*row)._replace(sealed=sealed)), row[7]
        if len(page) < _PAGE:
            return
        after = page[-1][0]


def _columns(dialect: str) -> list[Any]:
    """The columns of `Line` as texts that the database makes: what no type would take is told, not stumbled on."""
    if dialect == "sqlite":
        at = func.replace(cast(Event.at, String), " ", "T") + literal("Z")
        sealed = func.hex(Event.sealed)
    else:
        at = func.to_char(func.timezone("UTC", Event.at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        sealed = func.encode(Event.sealed, "hex")
    hidden = case((Event.sealed.is_(None), None), else_=sealed)
    return [Event.id, at, Event.who, Event.what, Event.subject, cast(Event.details, String), hidden, Event.hash]


def _said(session: Session, number: int) -> Iterator[str]:
    with suppress(DermoscopeError):  # a line that was changed; `verify` tells of it
        said = opened(session, session.get_one(Event, number))
        if said is not None:
            yield f'{_SAID}{json.dumps(said, ensure_ascii=False)}, "number": {number}}}\n'


def _first(path: Path, line: str) -> dict[str, Any]:
    """The head that an export begins with."""
    try:
        said: dict[str, Any] = json.loads(line)["trail"]
        if not {"count", "hash", "base", "base_hash", "seal", "text"} <= said.keys():
            raise KeyError
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is no export of the audit trail; make one with `dermoscope audit export`") from None
    return said


def _exported(path: Path, file: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """Number, text and hash of every line of an export."""
    for place, line in enumerate(file, start=2):
        if line.startswith(_SAID):
            continue
        found = _SHOWN.fullmatch(line)
        try:
            if found is None:
                raise ValueError
            yield int(json.loads(found[2])["number"]), found[2], found[1]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path}: line {place} is none of an export of the audit trail") from None
