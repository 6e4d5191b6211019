"""Whether the same is said of a lesion from another picture of it, and from changed copies of one picture.

1,956 of the 7,470 lesions of HAM10000 have several pictures: another magnification, angle or light, seldom another day.
The bundled model is asked of those in the role test (others it has learnt from, or was calibrated on); heads on frozen
features, each lesion out of fold, of those in the other roles. Every picture is read from its whole-field copy: the
sharper copy is here of one picture of a lesion only, so that with it sharpness would be measured. Copies of one
picture (turned, closer, cropped, compressed) are of the same lesions.

Method: Bland & Altman 1986: the standard deviation within a lesion, pooled, of the log-odds of melanoma, and 1.96 times
the square root of two of it, the repeatability coefficient. The paper measures instruments, not networks, and no figure
of it can be claimed.

Command: `dermoscope study run repeatability [--full] [--bundle NAME] [--set role=calibration] [--set lesions=N]`; the
longer form makes copies of a picture of every lesion instead of `LESIONS` of them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.study import Row
from dermoscope.data.catalog import open_cases
from dermoscope.data.images import Source, read_image
from dermoscope.data.splits import ROLES, Role, with_role
from dermoscope.predict.predictor import Predictor
from dermoscope.studies.base import Asked, Context, Paper, Plan, Study, check_used
from dermoscope.studies.material import quick, whole_field
from dermoscope.studies.repeatability_copies import COPIES, Copy
from dermoscope.studies.repeatability_rows import (
    Pictures,
    agreement,
    averaged,
    copied,
    fewer_views,
    groups,
    moved,
    near,
    row,
)
from dermoscope.studies.repeatability_scores import answered, of_means, out_of_fold, scored, whole_fields
from dermoscope.studies.repeatability_shown import plots, sheet
from dermoscope.studies.scorings import log_run

PAPER = Paper(
    key="bland1986",
    citation="Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of clinical "
    "measurement. Lancet 327(8476):307-310, 1986, doi:10.1016/S0140-6736(86)90837-8",
    bibtex="""@article{bland1986,
  author = {Bland, J. Martin and Altman, Douglas G.},
  title = {Statistical methods for assessing agreement between two methods of clinical measurement},
  journal = {The Lancet},
  volume = {327},
  number = {8476},
  pages = {307--310},
  year = {1986},
  doi = {10.1016/S0140-6736(86)90837-8}
}""",
)

LESIONS = 250
"""Lesions of whose first picture copies are made, by the hash of the lesion, without `--full`."""

OUT_OF_FOLD: tuple[Role, ...] = ("training", "validation", "calibration")
"""Roles of the heads on frozen features: the role test is never touched by them."""


@dataclass(frozen=True, eq=False)
class Given:
    """Pictures of lesions with several: for the bundle, all cases for the heads, and what the data are called."""

    name: str
    role: Role
    pictures: CaseSet
    others: CaseSet

    def split(self, *roles: Role) -> str:
        """Roles of these data in words, short enough for a table."""
        word = "roles" if len(roles) > 1 else "role"
        return f"{self.name.split(':')[0]}, {word} {', '.join(roles)}, lesions with several pictures"


def plan(asked: Asked) -> Plan:
    """Recipe and cases. Raises InputError where the role has no lesion with several pictures."""
    own = ("role", "lesions")
    recipe = quick({key: value for key, value in asked.settings.items() if key not in own})
    check_used(asked, "backbone", "balance", "seed", "preprocessing", *own, whole=True)
    role = asked.settings.get("role", "test")
    if role not in ROLES:
        raise InputError(f"--set role={role}: the roles are {', '.join(ROLES)}")
    data = asked.data or "ham10000"
    cases, described = open_cases(data)
    known = cases.where(lambda c: c.diagnosis is not None and c.path is not None)
    name = str(described.get("name", data))
    given = Given(name, role, several(with_role(known, role)), with_role(known, *OUT_OF_FOLD))
    if not len(given.pictures) or not len(several(given.others)):
        raise InputError(f"{data}: no lesion with several pictures in the role {role}, or in the other roles")
    settings = {**recipe.as_dict(), "role": role, "lesions": _lesions(asked, given), "bundle": _bundle(asked)}
    return Plan({**settings, "copies": list(COPIES)}, _told(given), given)


def _bundle(asked: Asked) -> str:
    return asked.bundle or "default"


def _lesions(asked: Asked, given: Given) -> int:
    there = len(set(given.pictures.groups))
    text = asked.settings.get("lesions", str(there if asked.full else LESIONS))
    if not text.isdecimal() or not int(text):
        raise InputError(f"--set lesions={text}: expected a number of lesions")
    return min(int(text), there)


def _told(given: Given) -> dict[str, object]:
    from dermoscope.train.run import data_hash

    hashes = data_hash(given.pictures) + data_hash(given.others)
    lesions = {f"{name}_lesions": len(set(several(cases).groups)) for name, cases in
               (("role", given.pictures), ("other", given.others))}  # fmt: skip
    return {"name": given.name, "sha256": sha256(hashes.encode()).hexdigest(), **lesions}


def several(cases: CaseSet) -> CaseSet:
    """The pictures of lesions that have more than one, in order."""
    sizes = Counter(cases.groups)
    return cases.where(lambda case: sizes[case.group] > 1)


def run(context: Context) -> tuple[Row, ...]:
    """Other pictures of a lesion by the bundle and by heads out of fold, then copies of one picture."""
    given: Given = context.plan.held
    predictor = Predictor.load(_bundle(context.asked))
    if context.asked.data in ("", "ham10000") and given.role == "test":
        log_run(context, predictor.bundle.sha256, "test-whole", "study repeatability")
    looked = _bundled(context, predictor, given)
    served, one = looked.values()
    title = f"Other pictures of the lesion, {given.role}"
    note = _mix(served.cases)
    rows = [
        row("pictures", f"{title}: as served", agreement(served), note),
        row("pictures, one view", f"{title}: one view", (*agreement(one), *fewer_views(served, one)), note),
        near(served),
        *groups(served),
        averaged(served, predictor.bundle.decision.codes, of_means(predictor, served.looked, served.lesions)),
        _quick(context, predictor, given),
        *_copies(context, predictor, looked),
    ]
    return tuple(rows)


def _mix(cases: CaseSet) -> str:
    lesions = cases.one_per_lesion()
    held = ", ".join(f"{code} {n}" for code, n in lesions.counts().items() if n)
    return f"{len(cases)} pictures of {len(lesions)} lesions ({held}); whole-field copies"


def _bundled(context: Context, predictor: Predictor, given: Given) -> dict[str, Pictures]:
    """What the bundle says of every picture, from all its views and from the first."""
    cases = given.pictures
    sources = whole_fields(cases)
    prediction = scored(context, predictor, "none", cases.ids, lambda chunk: sources[chunk])
    split, sha = given.split(given.role), predictor.bundle.sha256[:12]
    return {
        words: Pictures(cases, answered(predictor, prediction, views), split, f"{sha}, {words}")
        for words, views in ((f"{len(predictor.views())} views", None), ("one view", 1))
    }


def _quick(context: Context, predictor: Predictor, given: Given) -> Row:
    """Heads out of fold on the lesions of the other roles."""
    recipe = quick({k: v for k, v in context.asked.settings.items() if k not in ("role", "lesions")})
    codes = [code for code in predictor.bundle.decision.codes if code in given.others.taxonomy]
    looked = out_of_fold(context, recipe, given.others, codes)
    kept = several(given.others)
    places = {image: k for k, image in enumerate(given.others.ids)}
    split = f"{given.split(*OUT_OF_FOLD)}, out of fold"
    of = Pictures(kept, looked.take([places[image] for image in kept.ids]), split, "quick")
    note = f"{_mix(kept)}; threshold at 95 % of the malignant and premalignant pictures of the other folds"
    return row("quick", "Other pictures of the lesion: frozen features, each lesion out of fold", agreement(of), note)


def _copies(context: Context, predictor: Predictor, looked: Mapping[str, Pictures]) -> list[Row]:
    """Copies of the first picture of some lesions, those of which other pictures were compared."""
    first = next(iter(looked.values())).cases.one_per_lesion()
    order = sorted(range(len(first)), key=lambda k: sha256(first.cases[k].group.encode()).hexdigest())
    chosen = first.take([first.ids[k] for k in sorted(order[: context.plan.recipe["lesions"]])])
    files = [whole_field(case) for case in chosen]
    places = {image: k for k, image in enumerate(next(iter(looked.values())).cases.ids)}
    before = {words: of.take([places[image] for image in chosen.ids]) for words, of in looked.items()}
    rows, every = [], {}
    for name, copy in COPIES.items():
        prediction = scored(context, predictor, name, chosen.ids, partial(_made, copy, files))
        after = {
            words: Pictures(chosen, answered(predictor, prediction, views), of.split, of.by)
            for (words, of), views in zip(before.items(), (None, 1), strict=True)
        }
        rows.append(copied(before, after, name, copy.words))
        every[copy.words] = next(iter(after.values()))
    return [*rows, moved(next(iter(before.values())), every)]


def _made(copy: Copy, files: Sequence[Path], chunk: slice) -> list[Source]:
    return [copy.make(read_image(file).pixels) for file in files[chunk]]


DIAGRAM = """flowchart LR
  lesion[lesion] --> first[one picture] --> said[answer, diagnosis, log-odds of melanoma]
  lesion --> other[another picture] --> again[the same of this]
  first --> copy[turned, closer, cropped, compressed] --> third[the same of the copy]
  said --> within[share changed, SD within a lesion]
  again --> within
  third --> within"""

STUDY = Study(
    name="repeatability",
    title="Repeatability: another picture of the same lesion",
    paper=PAPER,
    claims=(),
    plan=plan,
    run=run,
    diagram=DIAGRAM,
    plots=plots,
    sheet=sheet,
)
