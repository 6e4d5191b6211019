"""Bundle + bytes of images -> predictions, for many who ask at once.

A turn takes one image of every request that waits, so that a single image never stands behind a hundred; while the
network is idle nothing waits for company. Several lanes take turns at a time. Where an image has a view for every core,
each is read view by view, one core a view, first come, first served: one that comes alone has all cores, and none of
them ever waits for another (ADR 0019). Where it has fewer, one that comes alone is read by all cores within the
network, and two that wait for each lane side by side with their share of them. Batches go behind what somebody waits
for, and keep a place. The model may be exchanged at any time: a request is read whole by the one that was there when it
came, and what it is told says which that was.
"""

import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from dermoscope.core.errors import BusyError, DermoscopeError
from dermoscope.core.prediction import Prediction
from dermoscope.predict.predictor import SQUARES, Predictor

MOST_WAITING = 400
"""Images that may wait: at about ten images a second on two cores the last of them is answered within a minute."""
MOST_BESIDE = 40
"""Other work that may wait for the network: heat maps."""
_CROWD = 2
"""Images that wait for each lane before the cores are shared out."""
_SPARED = 3
"""Images of requests that are read before one of a batch, where they go one by one."""
MOST_LANES = 4
"""Turns at one time at most: each holds its own pictures in memory."""
_LONGEST = 600
"""Seconds after which anybody may ask again, however much waits."""
_STEADY = 0.8
"""How much of the pace stays as it was when another turn is measured."""

Given = TypeVar("Given")


@dataclass(frozen=True, eq=False)
class Predicted(Prediction):
    """A prediction and the model that made it: whatever is said of it or stored is asked of that one."""

    predictor: Predictor = field(kw_only=True)

    @property
    def model(self) -> str:
        """SHA-256 of the bundle."""
        return self.predictor.bundle.sha256


Row = tuple[Prediction, int] | Exception
"""One image's row of a prediction, or why there is none."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many images are in the network, wait for it, and went through it since the start."""

    busy: int
    waiting: int
    done: int


@dataclass(eq=False)
class _Request:
    """Images of one call: those not yet taken, and the rows that came back so far."""

    predictor: Predictor
    names: Sequence[str]
    images: Sequence[bytes]
    rows: list[Row | None]
    taken: int = 0
    ready: "Future[list[Row]]" = field(default_factory=Future)

    def answer(self, position: int, row: Row) -> None:
        self.rows[position] = row
        rows = [row for row in self.rows if row is not None]
        if len(rows) == len(self.rows) and not self.ready.done():
            self.ready.set_result(rows)


class Engine:
    """Runs a predictor for many threads, in `lanes` (default: as many as it has threads); `close` it at the end.

    >>> with Engine(Predictor.load("default")) as engine:           # doctest: +SKIP
    ...     engine.predict([path.read_bytes()])
    """

    def __init__(self, predictor: Predictor, most_waiting: int = MOST_WAITING, lanes: int | None = None) -> None:
        self.most_waiting = most_waiting
        self._lanes = min(lanes or predictor.threads, MOST_LANES)
        self._narrow: weakref.WeakKeyDictionary[Predictor, Predictor] = weakref.WeakKeyDictionary()
        self._predictor = self._known(predictor)
        self._front: deque[_Request] = deque()
        self._back: deque[_Request] = deque()
        self._beside: deque[tuple[Callable[[], None], Future[object]]] = deque()
        self._waiting = self._busy = self._done = self._running = self._spared = 0
        self._alone = self._heating = self._due = False
        self._pace = 0.0
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"engine-{k}", daemon=True) for k in range(self._lanes)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def predictor(self) -> Predictor:
        """The model that reads what comes now. Whoever asks it twice may get two: keep it for as long as one thing."""
        return self._predictor

    @property
    def load(self) -> Load:
        """What there is to do just now."""
        with self._changed:
            return Load(self._busy, self._waiting, self._done)

    @property
    def pace(self) -> float:
        """Images a second, by the last turns of the network; 0 before the first."""
        return self._pace

    @property
    def full(self) -> bool:
        """Whether as many images wait as may."""
        return self._waiting >= self.most_waiting

    @property
    def again_after(self) -> int | None:
        """Seconds in which what waits now is done, by the pace; None before there is one."""
        return max(1, min(_LONGEST, math.ceil(self._waiting / self._pace))) if self._pace else None

    def swap(self, predictor: Predictor) -> None:
        """Let another model read what comes from now on; what came before is finished by the one before.

        Nothing waits for it, nothing is dropped, and the old one is given free by the last request that it reads.
        """
        known = self._known(predictor)
        with self._changed:
            self._predictor = known

    def predict(
        self,
        images: Sequence[bytes],
        names: Sequence[str] | None = None,
        *,
        by: Predictor | None = None,
        behind: bool = False,
    ) -> Predicted:
        """What `Predictor.predict` says of the images (bytes of files); blocks until all of them were read.

        `names` become the ids (default `image-1`, `image-2`, ...). `by` is the model, where another one was asked
        before; `behind` lets others go first. Raises the ImageError of the first image that cannot be read, BusyError
        where too many images wait or the engine is closed.
        """
        names = _named(images, names)
        by = by or self._predictor
        rows = self._rows(by, images, names, behind)
        for row in rows:
            if isinstance(row, Exception):
                raise row
        return _gathered(by, names, [row for row in rows if not isinstance(row, Exception)])

    def each(
        self,
        images: Sequence[bytes],
        names: Sequence[str] | None = None,
        *,
        by: Predictor | None = None,
        behind: bool = False,
    ) -> list[Predicted | DermoscopeError]:
        """The same image by image: a prediction of one row, or why there is none. Raises BusyError like `predict`."""
        names = _named(images, names)
        by = by or self._predictor
        found: list[Predicted | DermoscopeError] = []
        for name, row in zip(names, self._rows(by, images, names, behind), strict=True):
            if isinstance(row, Exception) and not isinstance(row, DermoscopeError):
                raise row
            found.append(row if isinstance(row, DermoscopeError) else _gathered(by, [name], [row]))
        return found

    def ask(self, work: Callable[[], Given]) -> Given:
        """What `work` returns, which runs a network by itself: one such thing at a time, and turns of images between.

        Raises what `work` raises, BusyError where too much of that kind waits or the engine is closed.
        """
        ready: Future[object] = Future()
        found: list[Given] = []
        with self._changed:
            self._open()
            if len(self._beside) >= MOST_BESIDE:
                raise BusyError(f"{len(self._beside)} heat maps wait already; try again in a minute", self.again_after)
            self._beside.append((lambda: found.append(work()), ready))
            self._changed.notify_all()
        ready.result()
        return found[0]

    def close(self, *, at_once: bool = False) -> None:
        """Accept nothing more, finish what was accepted (`at_once`: refuse it, too), and end. May be called twice."""
        with self._changed:
            self._closed = True
            if at_once:
                stopped = BusyError("the service is being stopped; ask again when it runs")
                for request in (*self._front, *self._back):
                    request.ready.set_exception(stopped)
                for _, ready in self._beside:
                    ready.set_exception(stopped)
                self._front, self._back, self._beside, self._waiting = deque(), deque(), deque(), 0
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _open(self) -> None:
        if self._closed:
            raise BusyError("the service is being stopped; ask again when it runs")

    def _rows(self, by: Predictor, images: Sequence[bytes], names: Sequence[str], behind: bool) -> list[Row]:
        if not images:
            return []
        request = _Request(by, names, images, [None] * len(images))
        with self._changed:
            self._open()
            if self._waiting and self._waiting + len(images) > self.most_waiting:
                after = self.again_after
                when = "in a minute" if after is None else f"in {after} s"
                raise BusyError(f"{self._waiting} images wait already; try again {when}", after)
            (self._back if behind else self._front).append(request)
            self._waiting += len(images)
            self._changed.notify_all()
        return request.ready.result()

    def _known(self, predictor: Predictor) -> Predictor:
        """A predictor, once there is one of its model for lanes."""
        if self._lanes > 1 and predictor not in self._narrow:
            share = max(1, predictor.threads // self._lanes)
            self._narrow[predictor] = predictor.sharing() if _shares(predictor) else predictor.with_threads(share)
        return predictor

    def _work(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """One turn of the network, or one thing beside; False at the end. Nothing of it is held when it returns."""
        with self._changed:
            while (turn := self._next()) is None:
                if self._closed and not (self._front or self._back or self._beside):
                    return False
                self._changed.wait()
            self._running += 1
        try:
            turn()
        finally:
            with self._changed:
                self._running -= 1
                self._alone = False
                self._changed.notify_all()
        return True

    def _next(self) -> Callable[[], None] | None:
        """What this lane is to do now; None where it has to wait. Heat maps and turns of images alternate."""
        if self._alone:
            return None
        if self._beside and not self._heating and (self._due or not self._waiting):
            self._heating, self._due = True, False
            return partial(self._heat, *self._beside.popleft())
        if not self._waiting:
            return None
        self._due = bool(self._beside)
        crowd = _CROWD * self._lanes
        shares = self._lanes > 1 and _shares((self._front or self._back)[0].predictor)
        alone = not shares and not self._running and self._waiting < crowd
        taken = self._take(1 if alone or shares else max(1, self._waiting // crowd))
        self._alone = alone
        self._busy, self._waiting = self._busy + len(taken), self._waiting - len(taken)
        return partial(self._run, taken, alone)

    def _run(self, taken: "Sequence[tuple[_Request, int]]", alone: bool) -> None:
        begun, known = time.perf_counter(), taken[0][0].predictor
        predictor = known if alone else self._narrow.get(known, known)
        rows = _run(predictor, [(r.names[at], r.images[at]) for r, at in taken])
        pace = len(taken) / max(time.perf_counter() - begun, 1e-9)
        with self._changed:
            pace *= self._running
            self._busy, self._done = self._busy - len(taken), self._done + len(taken)
            self._pace = _STEADY * self._pace + (1 - _STEADY) * pace if self._pace else pace
            for (request, at), row in zip(taken, rows, strict=True):
                request.answer(at, row)

    def _heat(self, work: Callable[[], None], ready: "Future[object]") -> None:
        _do(work, ready)
        with self._changed:
            self._heating = False

    def _take(self, most: int) -> list[tuple[_Request, int]]:
        """The images that go through the network together, `most` of one model: that of the request that is first.

        One of each request in turn, the oldest request first; where batches wait, one place is theirs, or one turn of
        some. Without others they go one by one: who comes then waits no longer than for that.
        """
        taken: list[tuple[_Request, int]] = []
        batch = not self._front or (most == 1 and bool(self._back) and self._spared >= _SPARED)
        predictor = (self._back if batch else self._front)[0].predictor
        if batch:
            _take(self._back, predictor, 1, taken)
        else:
            most = min(most, max(1, SQUARES // len(predictor.views())))
            _take(self._front, predictor, max(1, most - bool(self._back)), taken)
            _take(self._back, predictor, min(most, len(taken) + 1), taken)
        self._spared = 0 if batch else self._spared + 1
        return taken


def _shares(predictor: Predictor) -> bool:
    """Whether an image has a view for every core, so that one alone keeps all of them busy view by view."""
    return len(predictor.views()) >= predictor.threads


def _take(queue: deque[_Request], predictor: Predictor, most: int, taken: list[tuple[_Request, int]]) -> None:
    others = []
    while queue and len(taken) < most:
        request = queue.popleft()
        if request.predictor is not predictor:
            others.append(request)
            continue
        taken.append((request, request.taken))
        request.taken += 1
        if request.taken < len(request.images):
            queue.append(request)
    queue.extendleft(reversed(others))


def _do(work: Callable[[], None], ready: "Future[object]") -> None:
    try:
        work()
    except BaseException as error:
        ready.set_exception(error)
    else:
        ready.set_result(None)


def _run(predictor: Predictor, images: Sequence[tuple[str, bytes]]) -> list[Row]:
    """A row of each image; where the images fail together each is read alone, so that only the guilty one fails."""
    try:
        # names of different requests may be equal, ids of one prediction may not
        alone = [images[0][0]] if len(images) == 1 else [str(k) for k in range(len(images))]
        prediction = predictor.predict([data for _, data in images], names=alone)
    except Exception as error:
        return [error] if len(images) == 1 else [row for image in images for row in _run(predictor, [image])]
    return [(prediction, k) for k in range(len(images))]


def _named(images: Sequence[bytes], names: Sequence[str] | None) -> Sequence[str]:
    if names is not None and len(names) != len(images):
        raise ValueError(f"{len(names)} names for {len(images)} images")
    return [f"image-{k}" for k in range(1, len(images) + 1)] if names is None else names


def _gathered(predictor: Predictor, names: Sequence[str], rows: Sequence[tuple[Prediction, int]]) -> Predicted:
    """One prediction of rows that went through the network with others."""
    if not rows:
        nothing = predictor.predict([])
        return Predicted((), nothing.taxonomy, nothing.logits, members=nothing.members, predictor=predictor)
    found = [p.embedding[k] for p, k in rows if p.embedding is not None]
    return Predicted(
        tuple(names),
        predictor.taxonomy,
        np.stack([p.logits[k] for p, k in rows]),
        np.stack(found) if found else None,
        tuple(p.quality[k] for p, k in rows if p.quality),
        rows[0][0].members,
        predictor=predictor,
    )
