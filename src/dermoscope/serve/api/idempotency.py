"""`Idempotency-Key`: a request that is sent again, because its answer was lost, is done once.

A key belongs to one address and one person, and to what was sent with it; the bytes of an image alone never make two
requests one. What is done in one transaction is stored with its answer in that transaction. What stores by itself
(images that the model reads, batches) reserves its key before it begins.
"""

import datetime
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dermoscope.core.errors import ConflictError, InputError
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import Desk
from dermoscope.serve.erase import GONE
from dermoscope.serve.processes import living
from dermoscope.serve.tables import Answered, now

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Any word of your own, such as a UUID. The same key at the same address gives the first answer "
        "again (with `Idempotency-Replayed: true`) and does nothing twice; with other content it is refused.",
    ),
]
KEPT = datetime.timedelta(days=30)
"""How long a key is remembered."""
CREATED, UNDER_WAY = 201, 0
"""The status of what was stored, and of a key whose request has not been answered yet."""

_own = threading.Lock()
_running: set[int] = set()
"""Rows that requests of this process are working on."""


@dataclass(frozen=True, eq=False)
class Post:
    """A request that stores something: the service, who asks, and its key. FastAPI makes it."""

    service: Serving
    person: Asking
    request: Request
    key: Key = None

    def place(self) -> str:
        """The address that the key belongs to."""
        return self.request.url.path[:200]


Posting = Annotated[Post, Depends()]


def digest_of(sent: Sequence[object]) -> str:
    """SHA-256 of what a request means: models, bytes, or what JSON can hold."""
    digest = hashlib.sha256()
    for part in sent:
        data = part if isinstance(part, bytes) else json.dumps(_plain(part), sort_keys=True).encode()
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def _plain(part: object) -> object:
    return part.model_dump(mode="json") if isinstance(part, BaseModel) else part


def at_a_desk(post: Post, sent: Sequence[object], work: Callable[[Desk], BaseModel]) -> Response:
    """Do `work` in one transaction with the note of its answer; with a known key only answer."""
    digest = digest_of(sent)
    try:
        with post.service.desk(post.person) as desk:
            found = _known(desk.session, post)
            if found is not None:
                return _again(desk.session, post, found, digest)
            body = work(desk).model_dump(mode="json")
            if post.key is not None:
                _note(desk.session, post, digest, CREATED, body)
    except IntegrityError:  # another request stored the same at the same moment
        with post.service.looking(post.person) as desk:
            found = _known(desk.session, post)
            if found is None:
                raise ConflictError("the same was stored at the same moment by another request; ask for it") from None
            return _again(desk.session, post, found, digest)
    return JSONResponse(body, CREATED)


def by_itself(post: Post, sent: Callable[[], Sequence[object]], work: Callable[[], BaseModel]) -> Response:
    """Do `work`, which has transactions of its own, under a reserved key; with a known key only answer.

    `sent` is asked for only where there is a key. Raises ConflictError while the first request is under way, or where
    it was cut off before its answer was noted.
    """
    if post.key is None:
        return JSONResponse(work().model_dump(mode="json"), CREATED)
    digest = digest_of(sent())
    try:
        with post.service.desk(post.person) as desk:
            found = _known(desk.session, post)
            if found is not None:
                return _again(desk.session, post, found, digest)
            row = _note(desk.session, post, digest, UNDER_WAY, {}, post.service.name)
    except IntegrityError:
        raise _still_under_way() from None
    with _under_way(row):
        with _given_back(post, row):
            body = work().model_dump(mode="json")
        # where this fails the work is done all the same: the key stays taken, so that it is not done again
        with post.service.desk(post.person) as desk:
            held = desk.session.get(Answered, row)
            if held is not None and held.status == UNDER_WAY:  # else what it speaks of was deleted meanwhile
                held.status, held.body, held.holder = CREATED, body, None
    return JSONResponse(body, CREATED)


@contextmanager
def _under_way(row: int) -> Iterator[None]:
    with _own:
        _running.add(row)
    try:
        yield
    finally:
        with _own:
            _running.discard(row)


@contextmanager
def _given_back(post: Post, row: int) -> Iterator[None]:
    """The key is given back when the work fails, so that the mended request may use it."""
    try:
        yield
    except BaseException:
        with post.service.desk(post.person) as desk:
            desk.session.execute(delete(Answered).where(Answered.id == row))
        raise


def _known(session: Session, post: Post) -> Answered | None:
    if post.key is None:
        return None
    same = (Answered.key == post.key, Answered.place == post.place(), Answered.who == post.person.name)
    return session.scalar(select(Answered).where(*same))


def _again(session: Session, post: Post, found: Answered, digest: str) -> Response:
    if found.status == GONE:
        raise ConflictError(
            "what was sent with this Idempotency-Key has been deleted; take another key to send it again"
        )
    if found.digest != digest:
        raise InputError("this Idempotency-Key was used here with other content; take another key for another request")
    if found.status == UNDER_WAY:
        if _is_running(session, post.service.name, found):
            raise _still_under_way()
        raise ConflictError(
            "the first request with this Idempotency-Key was cut off before it was answered; look at what is stored, "
            "and send what is missing with another key"
        )
    return JSONResponse(found.body, found.status, {"Idempotency-Replayed": "true"})


def _is_running(session: Session, own: str, found: Answered) -> bool:
    """Whether the request is being worked on: in this process it is known, of another it is so while that lives."""
    if found.holder == own:
        with _own:
            return found.id in _running
    return found.holder is not None and found.holder in living(session, own)


def _still_under_way() -> ConflictError:
    return ConflictError("the first request with this Idempotency-Key is still under way; ask again a little later")


def _note(
    session: Session, post: Post, digest: str, status: int, body: dict[str, Any], holder: str | None = None
) -> int:
    """Note an answer under its key, forget very old ones, and return the row's number."""
    session.execute(delete(Answered).where(Answered.made_at < now() - KEPT))
    row = Answered(key=post.key, place=post.place(), who=post.person.name, digest=digest, status=status, body=body)
    row.holder = holder
    session.add(row)
    session.flush()
    return row.id
