"""Steppan & Hanke 2021, "Analysis of skin lesion images with deep learning": its claims, and the ablation they imply.

What is measured here, with the recipe `quick` (frozen ImageNet features and a trained head, so every network is a
stand-in): one network; more views; the prior correction; each further member; all of them; and all of that with and
without ISIC 2017 in the training, its softmax restricted to the diagnoses it can hold or not. The paper's networks, its
six data sets and the live test of ISIC 2019 are not part of it. With a bundle, its members are scored on the test role.

Command: `dermoscope study run steppan2021 [--bundle default]`.
"""

from dermoscope.core.claim import Claim
from dermoscope.core.study import Row
from dermoscope.studies.base import Asked, Context, Paper, Plan, Study
from dermoscope.studies.consistency import FigureSet

PAPER = Paper(
    key="steppan2021",
    citation="Steppan J, Hanke S. Analysis of skin lesion images with deep learning. arXiv 2101.03814, 2021",
    bibtex="""@misc{steppan2021,
  author = {Steppan, Josef and Hanke, Sten},
  title = {Analysis of skin lesion images with deep learning},
  year = {2021},
  eprint = {2101.03814},
  archivePrefix = {arXiv},
}""",
)

_TEST = "ISIC 2019, live test (not public; nine classes)"
_TASK = "skin lesion diagnosis"
_SINGLE = {
    "SE-ResNeXt-101 32x4d at 299 px": 0.582,
    "EfficientNet-B5 at 456 px": 0.582,
    "EfficientNet-B4 at 380 px": 0.577,
    "Inception-ResNet-v2 at 299 px": 0.569,
    "NASNet-A-Large at 299 px": 0.504,
}
_GROWTH = (0.583, 0.613, 0.624, 0.629, 0.632, 0.634)
_AUC = {"MEL": 0.924, "NV": 0.957, "BCC": 0.942, "AK": 0.917, "BKL": 0.893, "DF": 0.977, "VASC": 0.932, "SCC": 0.936,
        "UNK": 0.638}  # fmt: skip
_COUNTS = {"NV": 13704, "UNK": 5958, "MEL": 4904, "BCC": 3378, "BKL": 2733, "AK": 867, "SCC": 628, "DF": 294,
           "VASC": 282}  # fmt: skip


def _claim(metric: str, value: float, model: str, where: str, dataset: str = _TEST) -> Claim:
    return Claim(_TASK, dataset, metric, value, model, PAPER.key, f"arXiv 2101.03814, {where}")


SINGLE = tuple(_claim("balanced accuracy", value, model, "single models") for model, value in _SINGLE.items())
WITHOUT_EXTERNAL = _claim("balanced accuracy", 0.552, "Inception-ResNet-v2 at 299 px, without the external data",
                          "single models")  # fmt: skip
GROWTH = tuple(
    _claim("balanced accuracy", value, f"mean as members were added, step {k}", "ensemble")
    for k, value in enumerate(_GROWTH, start=1)
)
AUC = tuple(_claim(f"AUC {code}", value, "ensemble", "ensemble") for code, value in _AUC.items())
VALIDATION = (
    _claim("score on validation", 0.910, "ensemble", "validation", "10 % of the combined set, drawn per image"),
    _claim("score on the test", 0.629, "ensemble", "validation"),
)
COUNTS = tuple(
    _claim(f"images of {code}", float(value), "combined training set", "data", "six sources combined")
    for code, value in _COUNTS.items()
)

DIAGRAM = """flowchart LR
  image[image] --> views[views: turns and flips]
  views --> m1[network 1] --> p1[mean over views] --> c1[prior correction p / n]
  views --> m2[network 2] --> p2[mean over views] --> c2[prior correction p / n]
  views --> mk[further networks] --> pk[mean over views] --> ck[prior correction p / n]
  c1 --> mean[arithmetic mean]
  c2 --> mean
  ck --> mean
  mean --> answer[most probable diagnosis]"""


def plan(asked: Asked) -> Plan:
    """Cases, folds and settings of the ablation."""
    from dermoscope.studies.ablation import plan_ablation

    return plan_ablation(asked)


def run(context: Context) -> tuple[Row, ...]:
    """Every row: the ablation, and with a bundle its members on the test role."""
    from dermoscope.studies.steppan2021_rows import rows

    return rows(context)


STUDY = Study(
    name="steppan2021",
    title="Combined data, prior correction and ensembles on ISIC 2019",
    paper=PAPER,
    claims=(*SINGLE, WITHOUT_EXTERNAL, *GROWTH, *AUC, *VALIDATION, *COUNTS),
    plan=plan,
    run=run,
    figure_sets=(
        FigureSet(
            "steppan2021",
            "Score and AUC per class of the ensemble",
            "arXiv 2101.03814, ensemble",
            {"balanced accuracy": 0.634, **{f"AUC {code}": value for code, value in _AUC.items()}},
            3,
            remark="the challenge does not publish how many test images are of which class",
        ),
    ),
    diagram=DIAGRAM,
)
