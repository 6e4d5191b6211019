"""Winkler et al. 2019, "Association between surgical skin markings in dermoscopic images and diagnostic performance of
a deep learning convolutional neural network for melanoma recognition": does ink on the skin make a melanoma of a nevus?

The paper photographed 130 lesions unmarked and marked with gentian violet, and cropped the marks off again. Its
pictures are not public. Here marks are drawn on lesions whose clean picture is at hand, so every comparison is paired
by lesion; real ink is asked about in pictures of another clinic (ISIC 2017), where inked and clean lesions differ in
more than the ink; and it is tried whether drawn artefacts in the training mend it.

Command: `dermoscope study run winkler2019 [--full] [--bundle WITHOUT,WITH]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dermoscope.core.cases import Case
from dermoscope.core.claim import Claim
from dermoscope.core.errors import InputError
from dermoscope.core.study import Row
from dermoscope.data.catalog import open_cases
from dermoscope.data.splits import ROLES, Role, with_role
from dermoscope.predict.predictor import Predictor
from dermoscope.studies.base import Asked, Context, Paper, Plan, Study, check_used
from dermoscope.studies.headline import headline_cases
from dermoscope.studies.scorings import log_run
from dermoscope.studies.winkler2019_drawn import (
    INTENSITIES,
    MARKING,
    STUDY_NAME,
    Arm,
    Bench,
    capped,
    digest_of,
    drawn_rows,
    every_arm,
)
from dermoscope.studies.winkler2019_shown import OF_EACH, plots, sheet

PAPER = Paper(
    key="winkler2019",
    citation="Winkler JK, Fink C, Toberer F, et al. Association between surgical skin markings in dermoscopic images "
    "and diagnostic performance of a deep learning convolutional neural network for melanoma recognition. JAMA "
    "Dermatol 155(10):1135-1141, 2019, doi:10.1001/jamadermatol.2019.1735",
    bibtex="""@article{winkler2019,
  author = {Winkler, Julia K. and Fink, Christine and Toberer, Ferdinand and Enk, Alexander and Deinlein, Teresa and
            Hofmann-Wellenhof, Rainer and Thomas, Luc and Lallas, Aimilios and Blum, Andreas and Stolz, Wilhelm and
            Haenssle, Holger A.},
  title = {Association Between Surgical Skin Markings in Dermoscopic Images and Diagnostic Performance of a Deep
           Learning Convolutional Neural Network for Melanoma Recognition},
  journal = {JAMA Dermatology},
  volume = {155},
  number = {10},
  pages = {1135--1141},
  year = {2019},
  doi = {10.1001/jamadermatol.2019.1735}
}""",
)

_LESIONS = "130 lesions: 107 nevi, 23 melanomas"
_ARMS: Mapping[str, tuple[float, float, float]] = {
    "unmarked": (0.957, 0.841, 0.969),
    "marked": (1.0, 0.458, 0.922),
    "cropped": (1.0, 0.972, 0.993),
}


def _claims(arm: str) -> tuple[Claim, ...]:
    names = zip(("sensitivity", "specificity", "AUC"), _ARMS[arm], strict=True)
    return tuple(
        Claim(
            "melanoma against nevus", _LESIONS, name, value, f"CNN, {arm}", PAPER.key, f"JAMA Dermatol 155:1135, {arm}"
        )
        for name, value in names
    )


STRONGEST = Arm(MARKING, INTENSITIES[-1])
CLAIMS = {"clean": _claims("unmarked"), STRONGEST.words: _claims("marked"),
          f"{STRONGEST.words}, cropped": _claims("cropped")}  # fmt: skip
"""The paper's claims, by the row that they stand beside: marked is compared with the strongest ink."""

BUNDLE = "default"
"""What is asked: the bundled model."""

_OWN = ("role", "nevi", "melanomas")
"""Settings of the study itself: the role that is measured, and how many of it; all others are of the recipe `quick`."""

NEVI = 150
"""Nevi that are looked at without `--full`, by the hash of their lesion; melanomas are few and all looked at."""


@dataclass(frozen=True, eq=False)
class Given:
    """Melanomas and nevi of the role that is measured, and of the role validation, by which training is judged."""

    data: str
    role: Role
    cases: tuple[Case, ...]
    validation: tuple[Case, ...]

    @property
    def split(self) -> str:
        """In words."""
        return self.told(self.role)

    def told(self, role: str) -> str:
        """The data and a role in words."""
        return f"{'HAM10000' if self.data == 'ham10000' else self.data}, role {role}"


def plan(asked: Asked) -> Plan:
    """Lesions, artefacts and intensities. Raises InputError for data without a melanoma or a nevus in the role."""
    check_used(asked, *_OWN, "backbone", "balance", "seed", whole=True)
    role = asked.settings.get("role", "test")
    if role not in ROLES:
        raise InputError(f"--set role={role}: the roles are {', '.join(ROLES)}")
    data = asked.data or "ham10000"
    most = {"NV": None if asked.full else NEVI, "MEL": None}
    most |= {code: _number(asked, key) for key, code in (("nevi", "NV"), ("melanomas", "MEL")) if key in asked.settings}
    cases = {which: _lesions(data, which, most) for which in {role, "validation"}}
    given = Given(data, role, cases[role], cases["validation"])
    held = [*given.cases, *given.validation]
    recipe = {"role": role, "nevi": most["NV"], "melanomas": most["MEL"], **dict(asked.settings)}
    told = {"name": data, "sha256": digest_of([c.path for c in held if c.path]), "images": len(given.cases)}
    return Plan(recipe, told, given)


def _number(asked: Asked, key: str) -> int:
    text = asked.settings[key]
    if not text.isdecimal() or not int(text):
        raise InputError(f"--set {key}={text}: expected a number of lesions")
    return int(text)


def _lesions(data: str, role: Role, most: Mapping[str, int | None]) -> tuple[Case, ...]:
    """Melanomas and nevi of a role, one picture each; of HAM10000 those that have the sharper copy."""
    whole = open_cases(data)[0].where(lambda c: c.path is not None)
    held = headline_cases(whole, role) if data == "ham10000" else with_role(whole, role).one_per_lesion()
    found = capped(held.cases, most)
    missing = [code for code in ("MEL", "NV") if code not in {c.diagnosis for c in found}]
    if missing:
        raise InputError(f"{data}: no {' and no '.join(missing)} in the role {role}; give more lesions")
    return found


def run(context: Context) -> tuple[Row, ...]:
    """Drawn artefacts, real ink where ISIC 2017 is here, and what training with artefacts mends."""
    from dermoscope.studies.material import material
    from dermoscope.studies.winkler2019_mended import quick_rows, trained_rows
    from dermoscope.studies.winkler2019_real import real_rows

    given: Given = context.plan.held
    predictor = Predictor.load(BUNDLE)
    if given.data == "ham10000" and given.role == "test":
        log_run(context, predictor.bundle.sha256, "test", f"study {STUDY_NAME}")
    bench = Bench(context, predictor, given.cases, given.split)
    nevi = sum(c.diagnosis == "NV" for c in given.cases)
    note = (
        f"{len(given.cases) - nevi} melanomas and {nevi} nevi, one picture each; sensitivity, specificity and nevi "
        "referred by the decision rule on the probabilities alone, turns by the answer as served; Holm over all "
        "artefacts and intensities, for each figure by itself"
    )
    rows = drawn_rows(bench, every_arm(), CLAIMS, note)
    if given.data == "ham10000":
        rows += real_rows(context, predictor)
    settings = {k: v for k, v in context.asked.settings.items() if k not in _OWN}
    rows += quick_rows(context, material(context.asked), settings)
    if context.asked.bundle:
        rows += trained_rows(context, given.validation, given.told("validation"))
    return tuple(rows)


def contact(asked: Asked) -> bytes:
    """Lesions of the role calibration, on which nothing is measured; of `drawn` data drawn ones."""
    data = asked.data or "ham10000"
    most = {"MEL": OF_EACH, "NV": OF_EACH}
    lesions = None if data == "drawn" else _lesions(data, "calibration", most)
    return sheet(lesions, Predictor.load(BUNDLE))


DIAGRAM = """flowchart LR
  lesion[lesion, clean] --> clean[answer]
  lesion --> ink[ink drawn on it] --> marked[answer]
  ink --> crop[cropped to leave the ink out] --> cropped[answer]
  clean --> paired[paired differences: score, decision, AUC]
  marked --> paired
  cropped --> paired"""

STUDY = Study(
    name="winkler2019",
    title="Surgical skin markings and other artefacts",
    paper=PAPER,
    claims=tuple(claim for arm in _ARMS for claim in _claims(arm)),
    plan=plan,
    run=run,
    diagram=DIAGRAM,
    plots=plots,
    sheet=contact,
)
