"""One self-contained HTML page of results: pictures, ranked diagnoses, answers, warnings, and what failed.

The page needs no script and no other host: pictures are data URIs, the style is inline, and a content security policy
says so. File names are hostile until proven otherwise: every text is escaped by the template.
"""

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import jinja2

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.prediction import Answer, AnswerKind
from dermoscope.core.taxonomy import Group

NOTICE = "Research software: not a medical device, no diagnosis without a physician."
SHOWN_AT_ONCE = 3
ANSWERS: Mapping[AnswerKind, str] = {
    "refer": "Refer",
    "low_concern": "Low concern",
    "cannot_assess": "Cannot be assessed",
}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class PageItem:
    """One image on the page.

    `picture` is a JPEG, scaled before by the caller; `ranked` holds (code, name, group, probability), the most probable
    first; `truth` is a stated diagnosis in words or None; `attribution` may be empty.
    Raises ValueRuleError for a picture that is no JPEG, no diagnosis, or a probability outside [0, 1].
    """

    image: str
    picture: bytes
    ranked: tuple[tuple[str, str, Group, float], ...]
    answer: Answer
    warnings: tuple[str, ...] = ()
    attribution: str = ""
    synthetic: bool = False
    truth: str | None = None

    def __post_init__(self) -> None:
        if not self.picture.startswith(b"\xff\xd8\xff"):
            raise ValueRuleError(f"{self.image}: the picture for the page is not a JPEG")
        if not self.ranked or not all(0.0 <= p <= 1.0 for *_, p in self.ranked):
            raise ValueRuleError(f"{self.image}: ranked diagnoses need probabilities in [0, 1], at least one")


@dataclass(frozen=True, slots=True)
class Listing:
    """What the page is an extract of: the table beside it, and how many images got which answer there."""

    table: str
    answers: Mapping[AnswerKind, int] = field(default_factory=dict)


def result_page(
    items: Sequence[PageItem],
    *,
    title: str,
    model: Mapping[str, str],
    failures: Sequence[tuple[str, str]] = (),
    lead: str = "",
    listing: Listing | None = None,
) -> str:
    """The page as text (UTF-8 when written).

    `model` names what read the images, label to value (name, hash, prior ...); `failures` are (file, message); `lead`
    is one sentence on where the images come from; `listing` names the full table where `items` are only some of it.
    """
    answers = dict(listing.answers) if listing and listing.answers else Counter(i.answer.kind for i in items)
    return template("result.html.j2").render(
        items=[_card(item) for item in items],
        title=title,
        model=model,
        failures=failures,
        lead=lead,
        notice=NOTICE,
        table=printable(listing.table) if listing else None,
        total=sum(answers.values()),
        counts=[(kind, label, answers.get(kind, 0)) for kind, label in ANSWERS.items()],
        synthetic=sum(item.synthetic for item in items),
    )


def percent(probability: float) -> str:
    """A probability in per cent that never reads 0 % or 100 % unless it is: `< 0.1 %`, `3.4 %`, `62 %`, `> 99.9 %`.

    >>> percent(0.0004), percent(0.034), percent(0.62), percent(0.9999)
    ('< 0.1 %', '3.4 %', '62 %', '> 99.9 %')
    """
    if probability < 0.001:
        return "< 0.1 %"
    if 0.999 < probability < 1.0:
        return "> 99.9 %"
    if 0.0995 <= probability < 0.995 or probability == 1.0:
        return f"{probability:.0%}".replace("%", " %")
    return f"{probability:.1%}".replace("%", " %")


def _card(item: PageItem) -> dict[str, object]:
    rows = [
        {"code": code, "name": name, "group": group, "share": percent(p), "width": f"{max(100 * p, 0.4):.2f}"}
        for code, name, group, p in item.ranked
    ]
    first = rows[0]
    return {
        "image": item.image,
        "picture": b64encode(item.picture).decode("ascii"),
        "alt": f"{'Synthetic picture' if item.synthetic else 'Dermoscopic image'} {item.image}: "
        f"{ANSWERS[item.answer.kind]}; most probable {first['name']}, {first['share']}",
        "first": rows[:SHOWN_AT_ONCE],
        "rest": rows[SHOWN_AT_ONCE:],
        "kind": item.answer.kind,
        "answer": ANSWERS[item.answer.kind],
        "reasons": item.answer.reasons,
        "warnings": item.warnings,
        "attribution": item.attribution,
        "synthetic": item.synthetic,
        "truth": item.truth,
    }


def printable(value: object) -> object:
    """Text without control characters, bidirectional overrides and lone surrogates: they could hide or break a name."""
    return _UNPRINTABLE.sub("\ufffd", value) if isinstance(value, str) and not hasattr(value, "__html__") else value


@cache
def template(name: str) -> jinja2.Template:
    """A page's template, which escapes every text and makes it `printable`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dermoscope.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
