"""Sentences that pages, paper and API have in common: made of stored values and the catalogue of texts."""

from dermoscope.predict.bundle import Bundle
from dermoscope.refine.prevalence import of_100
from dermoscope.refine.quality import problems
from dermoscope.serve.agreement import Disagreement, Told
from dermoscope.serve.answers import MELANOMA, CaseAnswer
from dermoscope.serve.site import Site
from dermoscope.serve.texts import Texts

UNUSUAL = 0.99
"""Rank among the images of calibration from which a picture is called unusual, as `classify` does."""


def notice(site: Site | None, t: Texts) -> str:
    """What the site says of itself wherever something is decided: as set, else the text of the catalogue."""
    own = site.notice.get(t.language, "") if site else ""
    return own or t("site.notice")


def heading(answer: CaseAnswer, t: Texts) -> str:
    """What the answer is called: a suspicion by its diagnosis."""
    if answer.kind == "refer" and answer.answer.suspected:
        return t("answer.suspicious_of", diagnosis=t.named("diagnosis", answer.answer.suspected))
    return t.named("answer", answer.kind)


def reason(answer: CaseAnswer, t: Texts) -> str:
    """The one reason of an answer, said in the reader's language from its cause and figures."""
    figures, found = answer.answer.figures, answer.answer
    share = figures.get("concern" if found.cause == "floor" else "at_site")
    values = {
        "diagnosis": t.named("diagnosis", found.suspected),
        "share": about_of_100(share, t),
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


def disagreement(found: Disagreement, t: Texts) -> str:
    """Which pictures of a lesion do not agree, what each said, what counts, and how often that happens by itself."""
    said = [_of_picture(told, found.opposed, "", t) for told in found.now]
    said += [_of_picture(told, found.opposed, _day_of(told, t), t) for told in found.before]
    parts = [" ".join(said)]
    if found.before:
        parts.append(t("agreement.between"))
    elif found.decides:
        parts.append(t("agreement.opposed" if found.opposed else "agreement.apart"))
    known = found.measured
    if known is not None:
        often = "agreement.often_opposed" if found.opposed else "agreement.often_apart"
        share = known.opposed if found.opposed else known.beyond
        parts.append(t(often, share=t.percent(share), lesions=known.lesions))
    return " ".join(parts)


def _day_of(told: Told, t: Texts) -> str:
    image = told.result.image
    return t.date(image.captured_on or image.added_at.astimezone().date())


def _of_picture(told: Told, answers: bool, day: str, t: Texts) -> str:
    """`Picture 2: Refer.`, of an earlier visit with its day; or with the share of melanoma instead of the answer."""
    share = about_of_100(told.result.probabilities.get(MELANOMA), t)
    said = t.named("answer_short", told.result.answer) if answers else t("agreement.melanoma", share=share)
    if day:
        return t("agreement.picture_of", n=told.number, day=day, said=said)
    return t("agreement.picture", n=told.number, said=said)


def others_ranked(answer: CaseAnswer) -> tuple[str, ...]:
    """Diagnoses other than melanoma, the most probable first: rare ones cannot be calibrated, so without numbers."""
    return tuple(code for code in answer.ranked if code != MELANOMA)


def worries_of(answer: CaseAnswer, bundle: Bundle, t: Texts) -> tuple[str, ...]:
    """What does not keep from an answer and should be known all the same, once each.

    Limits are those of the bundle: of an answer by another model stands what was recorded, in English.
    """
    if answer.model != bundle.sha256:
        return answer.warnings
    found = []
    for result in answer.results:
        found += [t(f"worry.{p.code}") for p in problems(result.quality, bundle.decision.quality) if not p.blocks]
        side = min(result.quality.get(name, bundle.manifest.size) for name in ("width", "height"))
        if side < bundle.manifest.size:
            found.append(t("worry.coarse", side=int(side), size=bundle.manifest.size))
        if result.ood is not None and result.ood >= UNUSUAL:
            found.append(t("worry.unusual"))
    return tuple(dict.fromkeys(found))
