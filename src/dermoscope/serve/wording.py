"""Sentences that pages, paper and API have in common: made of stored values and the catalogue of texts."""

from dermoscope.refine.prevalence import of_100
from dermoscope.serve.answers import MELANOMA, CaseAnswer
from dermoscope.serve.site import Site
from dermoscope.serve.texts import Texts


def notice(site: Site | None, t: Texts) -> str:
    """What the site says of itself wherever something is decided: as set, else the text of the catalogue."""
    own = site.notice.get(t.language, "") if site else ""
    return own or t("site.notice")


def reason(answer: CaseAnswer, t: Texts) -> str:
    """The one reason of an answer, said in the reader's language from its cause and figures."""
    figures, found = answer.answer.figures, answer.answer
    share = figures.get("concern" if found.cause == "floor" else "at_site")
    values = {
        "diagnosis": t.named("diagnosis", found.suspected),
        "share": "–" if share is None else t.percent(share),
        "value": t.number(figures.get("value", 0.0), 0),
        "limit": t.number(figures.get("limit", 0.0), 0),
    }
    return t(f"cause.{found.cause}", **values)


def about_of_100(probability: float | None, t: Texts) -> str:
    """`about 12 of 100`, `fewer than 1 of 100`, `more than 99 of 100`."""
    if probability is None:
        return "–"
    count = of_100(probability)
    if count == "<1":
        return t("numbers.fewer")
    return t("numbers.more") if count == ">99" else t("numbers.about", n=count)


def others_ranked(answer: CaseAnswer) -> tuple[str, ...]:
    """Diagnoses other than melanoma, the most probable first: rare ones cannot be calibrated, so without numbers."""
    return tuple(code for code in answer.ranked if code != MELANOMA)
