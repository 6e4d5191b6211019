"""Bundle + bytes of images -> predictions, for many who ask at once.

One thread runs the network. What waits while it is busy goes through it together, one image of every request in turn,
so that a single image never stands behind a hundred; while it is idle nothing waits for company.
"""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from dermoscope.core.errors import BusyError, DermoscopeError
from dermoscope.core.prediction import Prediction
from dermoscope.predict.predictor import SQUARES, Predictor

MOST_WAITING = 400
"""Images that may wait: at about ten images a second on two cores the last of them is answered within a minute."""

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

    names: Sequence[str]
    images: Sequence[bytes]
    rows: list[Row | None]
    taken: int = 0
    ready: "Future[list[Row]]" = field(default_factory=Future)

    def answer(self, position: int, row: Row) -> None:
        self.rows[position] = row
        rows = [row for row in self.rows if row is not None]
        if len(rows) == len(self.rows):
            self.ready.set_result(rows)


class Engine:
    """Runs a predictor for many threads; `close` it at the end.

    >>> with Engine(Predictor.load("default")) as engine:           # doctest: +SKIP
    ...     engine.predict([path.read_bytes()])
    """

    def __init__(self, predictor: Predictor, most_waiting: int = MOST_WAITING) -> None:
        self.predictor = predictor
        self.most_waiting = most_waiting
        self._at_once = max(1, SQUARES // len(predictor.views()))
        self._requests: deque[_Request] = deque()
        self._waiting = self._busy = self._done = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def load(self) -> Load:
        """What there is to do just now."""
        with self._changed:
            return Load(self._busy, self._waiting, self._done)

    def predict(self, images: Sequence[bytes], names: Sequence[str] | None = None) -> Prediction:
        """What `Predictor.predict` says of the images (bytes of files); blocks until all of them were read.

        `names` become the ids (default `image-1`, `image-2`, ...). Raises the ImageError of the first image that
        cannot be read, BusyError where too many images wait or the engine is closed.
        """
        names = _named(images, names)
        rows = self._rows(images, names)
        for row in rows:
            if isinstance(row, Exception):
                raise row
        return _gathered(self.predictor, names, [row for row in rows if not isinstance(row, Exception)])

    def each(self, images: Sequence[bytes], names: Sequence[str] | None = None) -> list[Prediction | DermoscopeError]:
        """The same image by image: a prediction of one row, or why there is none. Raises BusyError like `predict`."""
        names = _named(images, names)
        found: list[Prediction | DermoscopeError] = []
        for name, row in zip(names, self._rows(images, names), strict=True):
            if isinstance(row, Exception) and not isinstance(row, DermoscopeError):
                raise row
            found.append(row if isinstance(row, DermoscopeError) else _gathered(self.predictor, [name], [row]))
        return found

    def close(self) -> None:
        """Accept nothing more, finish what was accepted, and end. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _rows(self, images: Sequence[bytes], names: Sequence[str]) -> list[Row]:
        if not images:
            return []
        request = _Request(names, images, [None] * len(images))
        with self._changed:
            if self._closed:
                raise BusyError("the service is being stopped; ask again when it runs")
            if self._waiting and self._waiting + len(images) > self.most_waiting:
                raise BusyError(f"{self._waiting} images wait already; try again in a minute")
            self._requests.append(request)
            self._waiting += len(images)
            self._changed.notify_all()
        return request.ready.result()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._requests and not self._closed:
                    self._changed.wait()
                if not self._requests:
                    return
                taken = self._take()
                self._busy, self._waiting = len(taken), self._waiting - len(taken)
            rows = _run(self.predictor, [(r.names[at], r.images[at]) for r, at in taken])
            with self._changed:
                self._busy, self._done = 0, self._done + len(taken)
            for (request, at), row in zip(taken, rows, strict=True):
                request.answer(at, row)

    def _take(self) -> list[tuple[_Request, int]]:
        """The images that go through the network together: one of each request in turn, the oldest request first."""
        taken: list[tuple[_Request, int]] = []
        while self._requests and len(taken) < self._at_once:
            request = self._requests.popleft()
            taken.append((request, request.taken))
            request.taken += 1
            if request.taken < len(request.images):
                self._requests.append(request)
        return taken


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


def _gathered(predictor: Predictor, names: Sequence[str], rows: Sequence[tuple[Prediction, int]]) -> Prediction:
    """One prediction of rows that went through the network with others."""
    if not rows:
        return predictor.predict([])
    found = [p.embedding[k] for p, k in rows if p.embedding is not None]
    return Prediction(
        tuple(names),
        predictor.taxonomy,
        np.stack([p.logits[k] for p, k in rows]),
        np.stack(found) if found else None,
        tuple(p.quality[k] for p, k in rows if p.quality),
        rows[0][0].members,
    )
