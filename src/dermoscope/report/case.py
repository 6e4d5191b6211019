"""One case of the web service on paper: the picture, the answer, what readers said, and under which settings.

Every word arrives with the values, in whatever language; nothing here knows a diagnosis or a setting.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.prediction import AnswerKind
from dermoscope.report.html import template
from dermoscope.report.pdf import Paper, as_pdf

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SheetPicture:
    """A JPEG, what stands below it, and what it shows in words. Raises ValueRuleError for another format."""

    picture: bytes
    caption: str
    alt: str

    def __post_init__(self) -> None:
        if not self.picture.startswith(b"\xff\xd8\xff"):
            raise ValueRuleError(f"the picture of {self.alt!r} is not a JPEG")

    @property
    def source(self) -> str:
        """The picture as an address that needs no other host."""
        return f"data:image/jpeg;base64,{b64encode(self.picture).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class SheetAnswer:
    """The model's answer: what it says, its one reason and what follows; then figures, ranked names and warnings."""

    kind: AnswerKind
    heading: str
    reason: str
    follows: str
    numbers: Pairs = ()
    ranked: tuple[str, Sequence[str]] = ("", ())
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SheetTable:
    """Rows of text below a title; `remark` stands under it, `empty` instead of it where there is no row."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class CaseSheet:
    """What stands on the paper, from top to bottom. `withheld` says why there is no answer where there is none.

    `language` is a code as HTML has it, `page` is how pages are counted, with `{page}` and `{pages}`.
    """

    language: str
    title: str
    subtitle: str
    stamp: str
    notice: str
    picture_title: str
    pictures: Sequence[SheetPicture]
    facts: Pairs
    answer: SheetAnswer | None
    answer_title: str
    readings: SheetTable
    settings_title: str
    settings: Pairs
    withheld: str = ""
    banner: str = ""
    page: str = "{page} / {pages}"


def case_page(sheet: CaseSheet) -> str:
    """The sheet as one self-contained HTML page, made to be printed."""
    before, _, rest = sheet.page.partition("{page}")
    between, _, after = rest.partition("{pages}")
    counted = [part.replace("\\", "").replace('"', "") for part in (before, between, after)]
    return template("case.html.j2").render(sheet=sheet, counted=counted)


def case_pdf(sheet: CaseSheet, paper: Paper = "a4") -> bytes:
    """The sheet as PDF. Raises MissingDependencyError without WeasyPrint."""
    return as_pdf(case_page(sheet), paper)
