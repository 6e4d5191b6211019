"""The chain of the audit trail: what exactly is hashed, and whether a run of lines fits together.

    hash(n) = SHA-256(hash(n - 1) + text(n))    hexadecimal; before line 1 stands nothing

`text` is one JSON object in UTF-8 with the keys in this order, one space after each colon and comma, as `json.dumps`
writes it: at, details, number, sealed, subject, what, who. Anybody can check that with `sha256sum`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring as quoted
from typing import NamedTuple


class Line(NamedTuple):
    """One line as texts. `details` is JSON with its keys in order; `sealed` is hexadecimal, or None; `at` is UTC."""

    number: int
    at: str
    who: str
    what: str
    subject: str
    details: str
    sealed: str | None
    hash: str


class Checked(NamedTuple):
    """A line that was looked at, and what is wrong with it, in words; None where it fits."""

    number: int
    hash: str
    wrong: str | None


@dataclass(frozen=True, slots=True)
class End:
    """A place between two lines: the number and the hash of the last one before it."""

    number: int = 0
    hash: str = ""


def text_of(line: Line) -> str:
    """What is hashed of a line."""
    sealed = "null" if line.sealed is None else f'"{line.sealed}"'
    return (
        f'{{"at": "{line.at}", "details": {line.details}, "number": {line.number}, "sealed": {sealed}, '
        f'"subject": {_text(line.subject)}, "what": {_text(line.what)}, "who": {_text(line.who)}}}'
    )


def hash_of(before: str, text: str) -> str:
    """The hash of a line, from that of the line before it."""
    return hashlib.sha256((before + text).encode("utf-8", "surrogatepass")).hexdigest()


def checked(lines: Iterable[tuple[int, str, str]], begin: End) -> Iterator[Checked]:
    """Every line (number, text, hash) in turn, by the line before it; where one is wrong it goes on from what it says.

    A line that was changed does not fit its own hash; where that was made anew too, the next line does not fit.
    """
    number, before = begin.number, begin.hash
    for found, text, said in lines:
        wrong = None
        if found != number + 1:
            missing = f"line {number + 1} is" if found == number + 2 else f"lines {number + 1} to {found - 1} are"
            wrong = f"{missing} missing: after {number} comes {found}"
        elif hash_of(before, text) != said:
            wrong = f"line {found} was changed, or line {number} before it: its hash does not follow"
        yield Checked(found, said, wrong)
        number, before = found, said


def _text(value: object) -> str:
    """A text as JSON; what is none (a column that was tampered with) as whatever it is."""
    return quoted(value) if isinstance(value, str) else repr(value)
