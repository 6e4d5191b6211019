"""The model's page: what it is for, what it was made of, and how good it was found to be."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dermoscope.core.card import Figures
from dermoscope.core.estimate import Estimate
from dermoscope.refine.decision import PRECEDENCE
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.pages.common import page
from dermoscope.serve.pages.silent import COUNTED, SENSITIVITIES
from dermoscope.serve.texts import Texts, catalogue

router = APIRouter(include_in_schema=False)
FIRST = (
    "decision.melanoma_sensitivity",
    "decision.malignant_sensitivity",
    "decision.sensitivity",
    "decision.specificity",
    "decision.answered",
    "balanced_accuracy",
)
"""What a reader asks first; a card need not hold all of them."""


@router.get("/model")
def model(request: Request, service: Serving, person: Asking) -> HTMLResponse:
    """The card of the model that is served."""
    t = Texts.load(person.language)
    with service.looking(person) as desk:
        bundle = desk.bundle
        return page(
            request,
            "model.html.j2",
            person,
            desk.site,
            bundle=bundle,
            card=bundle.card,
            point=[(named(name, t), found) for name, found in bundle.operating_point.items()],
            figures=[(one, chosen(one, t), everything(one, t)) for one in bundle.card.figures],
        )


def chosen(figures: Figures, t: Texts) -> list[tuple[str, Estimate]]:
    """The first figures to look at, by their names in words."""
    return [(named(name, t), figures.get(name)) for name in FIRST if name in figures.estimates]


def everything(figures: Figures, t: Texts) -> list[tuple[str, Estimate]]:
    """All figures of a split."""
    return [(named(name, t), figures.get(name)) for name in figures.estimates]


def named(name: str, t: Texts) -> str:
    """A figure in words; by the name in the card where the catalogue has none."""
    plain = name.removeprefix("decision.")
    code, _, rest = plain.rpartition(".")
    if rest == "recall":
        return t("figure.recall", diagnosis=t.named("diagnosis", code))
    if rest in PRECEDENCE:
        return f"{t.named('diagnosis', code)}: {t.named('answer_short', rest)}"
    for way, ending in sorted(COUNTED.items(), key=lambda pair: -len(pair[1])):
        of = plain.removesuffix(ending)
        if plain.endswith(ending) and of in SENSITIVITIES:
            return t("figure.sensitivity_of", of=t(f"figure.{of}"), way=t(f"figure.{way}"))
    return t(f"figure.{plain}") if f"figure.{plain}" in catalogue() else name
