"""Files of a multipart request: counted, measured, named, cleaned."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import File, UploadFile
from pydantic import BeforeValidator

from dermoscope.core.errors import ImageError
from dermoscope.serve.api.problems import Fault, RefusedError, clean
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.holding import MOST_OF_ONE
from dermoscope.serve.options import MOST_FILES, MOST_UPLOAD
from dermoscope.serve.uploads import Upload, shown_name
from dermoscope.serve.uploads import clean as cleaned

_PORTION = 32
"""Pictures that are cleaned before the model looks at them."""
_reading = threading.Semaphore(8)
"""Files that are in memory as they came, by all requests together: each has `MOST_UPLOAD` bytes at most."""


def _without_empty(sent: Any) -> Any:
    """An empty field of a form is no file; text in its place is told as what it is."""
    if not isinstance(sent, list):
        return sent
    if any(isinstance(one, str) and one for one in sent):
        raise ValueError("text where a file belongs; send each image as a file, with a name")
    return [one for one in sent if not isinstance(one, str)]


Files = Annotated[
    list[UploadFile],
    BeforeValidator(_without_empty),
    File(
        description=f"Images: JPEG, PNG, TIFF, BMP, GIF or WebP; 1 to {MOST_FILES} of them, at most "
        f"{MOST_UPLOAD:,} bytes each.",
        json_schema_extra={"minItems": 1, "maxItems": MOST_FILES},
    ),
]


@dataclass(frozen=True, eq=False)
class Given:
    """One file as it came: its place from 1, its name, and the name that tells it from the others."""

    position: int
    file: str
    image: str
    upload: UploadFile

    def read(self) -> bytes:
        """Its bytes."""
        self.upload.file.seek(0)
        return self.upload.file.read()


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is not taken, and why; `large` where it was not looked at for its size."""

    position: int
    file: str
    image: str
    detail: str
    large: bool = False


def given(files: Sequence[UploadFile]) -> list[Given]:
    """The files that were sent; a form's empty field is none.

    `image` is the name without extension. Where that stands before already, `-2`, `-3` and so on follow it.
    Raises RefusedError for no file, or for too many.
    """
    sent = [file for file in files if file.filename or file.size]
    if not sent:
        raise RefusedError("no file was sent; send images in the field `files`")
    if len(sent) > MOST_FILES:
        raise RefusedError(f"{len(sent)} files; at most {MOST_FILES} are taken at once", status=413)
    names = [_name(file.filename or "", position) for position, file in enumerate(sent, start=1)]
    images = unique([PurePosixPath(name).stem for name in names])
    return [Given(k, n, i, f) for k, (n, i, f) in enumerate(zip(names, images, sent, strict=True), start=1)]


def digests(files: Sequence[Given]) -> list[str]:
    """SHA-256 of every file as it came."""
    return [Blobs.digest(one.read()) for one in files]


def unique(names: Sequence[str]) -> list[str]:
    """Each name once: `a`, `a-2`, `a-3`; a number that another file has by itself is passed over.

    >>> unique(["a", "a", "a-2", "a"])
    ['a', 'a-3', 'a-2', 'a-4']
    """
    taken, found = set(names), []
    seen: set[str] = set()
    for name in names:
        called, number = name, 1
        while called in seen or (number > 1 and called in taken):
            number += 1
            called = f"{name}-{number}"
        seen.add(called)
        found.append(called)
    return found


def pictures(files: Sequence[Given]) -> tuple[list[tuple[Given, Upload]], list[Refused]]:
    """The files that are images, without what does not belong to the picture, and those that are not taken.

    Raises RefusedError, with a line for each file, where none is an image; and where they are too many to be held in
    memory together.
    """
    good: list[tuple[Given, Upload]] = []
    bad: list[Refused] = []
    for one in files:
        found = picture(one)
        if isinstance(found, Refused):
            bad.append(found)
            continue
        good.append((one, found))
        if sum(len(upload.data) for _, upload in good) > MOST_OF_ONE:
            most = (
                f"the pictures up to this one have over {MOST_OF_ONE // 1_000_000} MB without what is left out of them"
            )
            raise RefusedError(f"{one.file}: {most}; send fewer at a time", status=413)
    if not good:
        raise none_readable(bad)
    return good, bad


def portions(files: Sequence[Given]) -> Iterator[tuple[list[tuple[Given, Upload]], list[Refused]]]:
    """The same of any number of files, a few of them at a time, so that no more are in memory."""
    good: list[tuple[Given, Upload]] = []
    bad: list[Refused] = []
    for one in files:
        found = picture(one)
        if isinstance(found, Refused):
            bad.append(found)
        else:
            good.append((one, found))
        if len(good) == _PORTION or sum(len(upload.data) for _, upload in good) > MOST_OF_ONE // 4:
            yield good, bad
            good, bad = [], []
    yield good, bad


def picture(one: Given) -> Upload | Refused:
    """A file as a picture, or why it is not taken."""
    refused = oversize(one)
    if refused is not None:
        return refused
    try:
        with _reading:
            return cleaned(one.read(), one.file)
    except ImageError as error:
        return Refused(one.position, one.file, one.image, clean(str(error)))


def oversize(one: Given) -> Refused | None:
    """Why a file is not even looked at, or None."""
    size = one.upload.size or 0
    if size <= MOST_UPLOAD:
        return None
    detail = f"{one.file}: {size:,} bytes; at most {MOST_UPLOAD:,} are taken"
    return Refused(one.position, one.file, one.image, detail, large=True)


def none_readable(bad: Sequence[Refused]) -> RefusedError:
    """What a request is told whose files are all refused."""
    faults = [Fault(where=one.file, what=one.detail) for one in bad]
    status = 413 if all(one.large for one in bad) else 422
    if len(bad) == 1:
        return RefusedError(bad[0].detail, faults, status)
    return RefusedError(f"none of the {len(bad)} files can be taken; `errors` says why", faults, status)


def _name(sent: str, position: int) -> str:
    """A file's name, fit to be told and to name a result."""
    return shown_name(sent) if sent.strip(" ./\\") else f"image-{position}"
