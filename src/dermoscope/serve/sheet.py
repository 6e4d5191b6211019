"""A case as it stands on paper: the values of the record in the words of a language."""

from collections.abc import Sequence

from dermoscope import __version__
from dermoscope.report.case import CaseSheet, SheetAnswer, SheetPicture, SheetTable
from dermoscope.serve.agreement import disagreements, untold
from dermoscope.serve.answers import CaseAnswer, answer_of, together, visible
from dermoscope.serve.cases import get
from dermoscope.serve.desk import Desk
from dermoscope.serve.readings import of
from dermoscope.serve.tables import Case, Image, Reading, now
from dermoscope.serve.texts import Texts
from dermoscope.serve.wording import about_of_100, disagreement, heading, notice, others_ranked, reason, worries_of

_SIDE = 1280
"""Pixels of the longer side of a printed picture: 300 to the inch at its width on A4."""


def sheet_of(desk: Desk, case_id: int) -> CaseSheet:
    """What this person may see of the current visit, in this person's language; pictures are small copies.

    Raises NotFoundError.
    """
    t, case = Texts.load(desk.person.language), get(desk, case_id)
    answer = answer_of(desk, case) if visible(desk, case) else None
    site = t.named("body_site", case.body_site)
    parts = [t("pdf.number", id=str(case.id)), *([site] if case.body_site else []), t("case.visit", n=case.visit)]
    return CaseSheet(
        language=t.language,
        title=t("case.title", pseudonym=case.patient.pseudonym, lesion=case.lesion),
        subtitle=" · ".join(parts),
        stamp=t("pdf.printed", when=t.moment(now()), who=desk.person.name),
        notice=notice(desk.site, t),
        picture_title=t("pdf.picture"),
        pictures=_pictures(desk, case, answer, t),
        facts=_facts(case, t),
        answer=None if answer is None else _answer(desk, case, answer, t),
        answer_title=t("answer.of_model"),
        readings=_readings(desk, case, answer, t),
        settings_title=t("pdf.made"),
        settings=_settings(desk, answer, t),
        withheld=_withheld(desk, case, t),
        banner=t("pdf.sample") if case.sample else "",
        page=t("pdf.page"),
    )


def _pictures(desk: Desk, case: Case, answer: CaseAnswer | None, t: Texts) -> list[SheetPicture]:
    """The pictures of the visit: the one that decided first, then the other dermoscopic ones, then overviews.

    Each has the number that it has on the page and in sentences about it.
    """
    decided = None if answer is None else answer.result.image_id
    said = (
        {}
        if answer is None or len(answer.results) < 2
        else {result.image_id: result.answer for result in answer.results}
    )
    own = [image for image in case.images if image.visit == case.visit]
    own.sort(key=lambda image: (image.kind != "dermoscopic", image.id))
    numbers = {image.id: t("quality.picture", n=n) for n, image in enumerate(own, start=1) if len(own) > 1}
    own.sort(key=lambda image: image.id != decided)
    return [
        SheetPicture(
            desk.service.blobs.thumbnail(image.digest, _SIDE),
            ": ".join([*filter(None, [numbers.get(image.id)]), _caption(image, said.get(image.id), t)]),
            t.named("kind", image.kind),
        )
        for image in own
    ]


def _caption(image: Image, answer: str | None, t: Texts) -> str:
    taken = image.captured_on
    added = t("pdf.added", day=t.date(image.added_at.astimezone().date()))
    parts = [
        t.named("kind", image.kind),
        added if taken is None else t("pdf.taken", day=t.date(taken)),
        f"{image.width} × {image.height} px",
        *([image.device] if image.device else []),
        *([t.named("polarisation", image.polarisation)] if image.polarisation else []),
    ]
    alone = "" if answer is None else f". {t('pdf.alone', answer=t.named('answer_short', answer))}"
    return ", ".join(parts) + alone


def _facts(case: Case, t: Texts) -> list[tuple[str, str]]:
    intake = ", ".join(t.named("intake", flag) for flag in case.intake) or t("pdf.none")
    outcome = t("pdf.pending")
    if case.histology is not None:
        on = "" if case.histology_on is None else f", {t.date(case.histology_on)}"
        outcome = t.named("diagnosis", case.histology) + on
    return [
        (t("pdf.body_site"), t.named("body_site", case.body_site)),
        (t("pdf.intake"), intake),
        (t("histology.title"), outcome),
    ]


def _answer(desk: Desk, case: Case, answer: CaseAnswer, t: Texts) -> SheetAnswer:
    assessed = answer.kind != "cannot_assess"
    numbers = (("numbers.melanoma", answer.numbers.melanoma), ("numbers.malignant", answer.numbers.malignant))
    found = disagreements(desk, case, answer)
    differ = tuple(disagreement(one, t) for one in found)
    if untold(answer, found):
        differ = (t("answer.differ"), *differ)
    named = [t.named("diagnosis", code) for code in others_ranked(answer)] if assessed else []
    return SheetAnswer(
        answer.kind,
        heading(answer, t),
        reason(answer, t).replace(" %", "\N{NO-BREAK SPACE}%"),
        t.named("answer_then", answer.kind),
        [(t(key), about_of_100(share, t)) for key, share in numbers] if assessed else (),
        (t("ranked.title"), named),
        (*differ, *worries_of(answer, desk.bundle, t)),
    )


def _readings(desk: Desk, case: Case, answer: CaseAnswer | None, t: Texts) -> SheetTable:
    held = of(desk, case)
    shown = [r for r in (held.first, held.revised, *held.others) if r is not None]
    shown.sort(key=lambda reading: reading.id)
    head = ("pdf.reader", "pdf.said", "reading.decision", "reading.diagnosis", "reading.confidence", "pdf.when")
    differs = any(together(reading, answer)[1] for reading in _last(shown))
    return SheetTable(
        t("pdf.readings"),
        [t(key) for key in head],
        [_row(reading, t) for reading in shown],
        t("pdf.no_reading"),
        t("pdf.disagree") if differs else "",
    )


def _last(readings: Sequence[Reading]) -> list[Reading]:
    """The last reading of each reader."""
    return list({reading.reader: reading for reading in readings}.values())


def _row(reading: Reading, t: Texts) -> list[str]:
    phase = t("pdf.phase_first" if reading.phase == "first" else "pdf.phase_revised")
    how = t("pdf.with_answer" if reading.aided else "pdf.without_answer")
    return [
        reading.reader + (f" ({reading.experience})" if reading.experience else ""),
        f"{phase}, {how}",
        t.named("decision", reading.decision),
        t.named("diagnosis", reading.diagnosis),
        "–" if reading.confidence is None else t.percent(reading.confidence),
        t.moment(reading.made_at),
    ]


def _settings(desk: Desk, answer: CaseAnswer | None, t: Texts) -> list[tuple[str, str]]:
    """Those that the answer was made under; without one those of the site."""
    bundle = desk.bundle
    software = (t("pdf.software"), f"dermoscope {__version__}")
    if answer is None:
        mode, order = desk.site.mode, desk.site.order
        return [(t("case.order"), t.named("order", order)), (t("case.mode"), t.named("mode", mode)), software]
    name = f"{bundle.manifest.name} " if bundle.sha256 == answer.model else ""
    result = answer.result
    return [
        (t("case.model"), name + answer.model[:12]),
        (t("case.read_at"), t.moment(answer.made_at)),
        (t("case.prevalence"), _prevalence(answer, t)),
        (t("case.order"), t.named("order", result.order)),
        (t("case.mode"), t.named("mode", result.mode)),
        software,
    ]


def _prevalence(answer: CaseAnswer, t: Texts) -> str:
    held = answer.prevalence
    of_100 = {name: 100 * float(held[name]) for name in ("malignant", "melanoma")}
    shares = {name: t.number(share, 0 if share >= 10 else 1) for name, share in of_100.items()}
    return t("pdf.shares", name=t.named("prevalence", str(held["name"])), **shares)


def _withheld(desk: Desk, case: Case, t: Texts) -> str:
    if desk.site.mode == "silent":
        return t("pdf.withheld_silent")
    return t("reading.no_answer") if visible(desk, case) else t("pdf.withheld")
