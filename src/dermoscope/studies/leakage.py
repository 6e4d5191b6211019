"""What a split leaks: one recipe under folds of random images, of whole lesions, of whole sources.

HAM10000 holds several images of many lesions. Divided image by image, as in DermaMNIST, most of these are tested while
another image of the same lesion is trained on (Abhishek, Jain & Hamarneh 2025). Here every image of the roles training
and validation is answered twice by the same recipe, out of folds of the same sizes and the same mix of diagnoses that
differ in nothing but what may stand on both sides; the role test is never touched. The gap is paired by lesion; on
lesions with one image it should be nothing, which is the control. What is rotated before it is split leaks likewise
(`leakage_rotated`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dermoscope.core.cases import CaseSet
from dermoscope.core.claim import Claim
from dermoscope.core.errors import InputError
from dermoscope.core.study import Row
from dermoscope.data.catalog import load, open_cases
from dermoscope.data.splits import with_role
from dermoscope.report.plots import Plot, Point
from dermoscope.studies.base import Asked, Context, Paper, Plan, Study, check_used
from dermoscope.studies.leakage_sheet import sheet
from dermoscope.studies.material import ELSEWHERE, quick, whole_field

NAME = "leakage"

FOLDS = 5

SEEDS = 5
"""Divisions, each with heads of its own; a figure is the mean over them."""

FEW_SEEDS = 2
"""Divisions where there are several sources, or several rotated copies of each image."""

SHORTER = {"phases": "12x224", "rate": "0.01"}
"""As good on held-out lesions as the epochs of `quick`, and there are 200 heads (see `studies/ablation.py`)."""

ABHISHEK = "Abhishek, Jain & Hamarneh 2025, Sci Data 12:196"
MEDMNIST = "Doerrich et al., MedMNIST+"
HOSNY = "Hosny, Kassem & Foaud 2019, PLoS ONE 14:e0217293"

DERMAMNIST = tuple(
    Claim("seven diagnoses", data, metric, value, model, paper, source)
    for paper, data, model, source, figures in (
        (
            MEDMNIST,
            "DermaMNIST",
            "DenseNet-121 at 224 px, images at random (Doerrich et al.)",
            "random split",
            (0.8474, 0.9626),
        ),
        (
            MEDMNIST,
            "DermaMNIST",
            "ResNet-18 at 224 px, images at random (Doerrich et al.)",
            "random split",
            (0.8233, 0.9527),
        ),
        (
            ABHISHEK,
            "DermaMNIST-E",
            "ResNet-18 at 224 px, test of ISIC 2018 (Abhishek et al.)",
            "DermaMNIST-E",
            (0.685, 0.900),
        ),
    )
    for metric, value in zip(("accuracy", "AUC, mean"), figures, strict=True)
)
"""Of networks that were tuned; what is measured here are frozen features, so that no level compares."""

ROTATED = tuple(
    Claim("melanoma, nevus (seborrheic keratosis)", data, "accuracy", value, f"AlexNet on {data}", HOSNY, "abstract")
    for data, value in (("MED-NODE", 0.9686), ("Derm(IS & Quest)", 0.9770), ("ISIC", 0.9591))
)


@dataclass(frozen=True, eq=False)
class Given:
    """`cases`: all images of the roles training and validation; `rotated`: one of each lesion, by the data's name."""

    name: str
    cases: CaseSet
    rotated: Mapping[str, CaseSet]
    calibration: CaseSet


def plan(asked: Asked) -> Plan:
    """Recipe and cases. Raises InputError where the data hold no labelled image of the roles that are used."""
    from dermoscope.studies.leakage_rotated import ANGLES, MOST, chosen
    from dermoscope.train.run import data_hash

    if asked.bundle:
        raise InputError("--bundle changes nothing in this study; leave it out")
    check_used(asked, "backbone", "balance", "seed", "tuned", whole=True)
    if "tuned" in asked.settings and not asked.full:
        raise InputError("--set tuned changes nothing without --full; give both")
    recipe, given = recipe_of(asked), asked.data or "ham10000"
    known = _whole_fields(open_cases(given)[0])
    cases, calibration = with_role(known, "training", "validation"), with_role(known, "calibration")
    if not len(cases):
        raise InputError(f"{given}: no labelled image with the role training or validation; give more lesions")
    name, other = Path(given).name, None if asked.data else _elsewhere()
    rotated = {name: chosen(cases)}
    if other is not None:
        rotated[ELSEWHERE] = chosen(other)
    settings = {**recipe.as_dict(), "folds": FOLDS, "seeds": SEEDS, "few_seeds": FEW_SEEDS}
    settings |= {"angles": list(ANGLES), "most": MOST}
    data = {"name": name, "sha256": data_hash(cases), "images": len(cases), "lesions": len(set(cases.groups))}
    data |= {f"rotated_{part}": data_hash(held)[:12] for part, held in rotated.items()}
    return Plan(settings, data, Given(name, cases, rotated, calibration))


def _whole_fields(cases: CaseSet) -> CaseSet:
    """Labelled cases with one file each, that which shows most: which have a sharper one depends on the diagnosis."""
    known = cases.where(lambda c: c.diagnosis is not None and c.path is not None)
    return replace(known, cases=tuple(replace(c, path=whole_field(c), copies=()) for c in known))


def _elsewhere() -> CaseSet | None:
    try:
        return with_role(_whole_fields(load(ELSEWHERE)), "training", "validation")
    except InputError:
        return None


def run(context: Context) -> tuple[Row, ...]:
    """Rows: images at random against whole lesions, sources, rotated copies; with `--full` a network that is tuned."""
    from dermoscope.studies.leakage_rotated import rotated_rows
    from dermoscope.studies.leakage_rows import source_rows, split_rows

    rows = [*split_rows(context), *source_rows(context), *rotated_rows(context)]
    if context.asked.full:
        from dermoscope.studies.leakage_tuned import tuned_rows

        rows += tuned_rows(context)
    return tuple(rows)


def plots(rows: tuple[Row, ...]) -> tuple[Plot, ...]:
    """Accuracy under both splits, the gap in every metric, sources, rotated copies; of what the rows have."""
    gaps = tuple(
        Point(found.metric, found.estimate, found.bundle.partition(", ")[0])
        for row in rows
        for found in row.measured
        if row.name.startswith(("split: all: ", "tuned: all")) and found.against
    )
    sources = _levels(rows, ("source: ",), "balanced accuracy")
    made = (
        ("accuracy", "The same images, split two ways", "accuracy", _levels(rows, ("split: ", "tuned: "), "accuracy")),
        ("gaps", "Images at random minus whole lesions", "gap (0.01 is one point)", gaps, 0.0),
        ("sources", "A source among the training, and left out", "balanced accuracy, linear head", sources),
        ("rotated", "Rotated before and after the split", "accuracy", _levels(rows, ("rotated: ",), "accuracy")),
    )
    return tuple(Plot(*values) for values in made if values[3])


def _levels(rows: tuple[Row, ...], starts: tuple[str, ...], metric: str) -> tuple[Point, ...]:
    """A point of every level of a metric: a line for each row, a colour for each way to split."""
    return tuple(
        Point(row.title, found.estimate, found.bundle.rpartition(", ")[2])
        for row in rows
        for found in row.measured
        if row.name.startswith(starts) and found.metric.startswith(metric) and not found.against
    )


def recipe_of(asked: Asked) -> Any:
    """The recipe of the linear head: `quick` in a fifth of its epochs."""
    return quick({**SHORTER, **{key: value for key, value in asked.settings.items() if key != "tuned"}})


STUDY = Study(
    name=NAME,
    title="What a split leaks: images, lesions, sources",
    paper=Paper(
        "abhishek2025",
        "Abhishek K, Jain A, Hamarneh G. Investigating the Quality of DermaMNIST and Fitzpatrick17k Dermatological "
        "Image Datasets. Sci Data 12, 196 (2025); Doerrich et al., MedMNIST+; and Hosny KM, Kassem MA, Foaud MM. PLoS "
        "ONE 14, e0217293 (2019)",
        "@article{abhishek2025,\n  author = {Abhishek, Kumar and Jain, Aditi and Hamarneh, Ghassan},\n"
        "  title = {Investigating the Quality of {DermaMNIST} and {Fitzpatrick17k} Dermatological Image Datasets},\n"
        "  journal = {Scientific Data},\n  volume = {12},\n  pages = {196},\n  year = {2025},\n"
        "  doi = {10.1038/s41597-025-04382-5}\n}",
    ),
    claims=(*DERMAMNIST, *ROTATED),
    plan=plan,
    run=run,
    plots=plots,
    sheet=sheet,
)
