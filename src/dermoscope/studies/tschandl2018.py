"""Tschandl, Rosendahl & Kittler 2018, "The HAM10000 dataset": its own figures counted again, and what its sources do.

The paper describes data and measures no classifier. Here its counts stand beside those of the table, and two questions
are asked of the four sources: how far the source and the file alone tell the diagnosis, and what a head that was
trained on three of them knows of the fourth. Heads are those of the recipe `quick` (frozen ImageNet features) on roles
training and validation.

Command: `dermoscope study run tschandl2018`.
"""

from hashlib import sha256
from pathlib import Path

from dermoscope.core.cases import CaseSet
from dermoscope.core.claim import Claim
from dermoscope.core.errors import InputError
from dermoscope.core.study import Row
from dermoscope.core.taxonomy import ISIC2019, ISIC2019_TO_ISIC2018
from dermoscope.data.catalog import open_cases
from dermoscope.data.splits import with_role
from dermoscope.studies import tschandl2018_facts as facts
from dermoscope.studies import tschandl2018_sources as sources
from dermoscope.studies.base import Asked, Context, Paper, Plan, Study, check_used
from dermoscope.studies.material import quick
from dermoscope.studies.tschandl2018_figures import plots, sheet_of

PAPER = Paper(
    key="tschandl2018",
    citation=(
        "Tschandl P, Rosendahl C, Kittler H. The HAM10000 dataset, a large collection of multi-source dermatoscopic "
        "images of common pigmented skin lesions. Sci Data 5, 180161 (2018). doi:10.1038/sdata.2018.161"
    ),
    bibtex="""@article{tschandl2018,
  author = {Tschandl, Philipp and Rosendahl, Cliff and Kittler, Harald},
  title = {The {HAM10000} dataset, a large collection of multi-source dermatoscopic images of common pigmented skin
           lesions},
  journal = {Scientific Data},
  volume = {5},
  pages = {180161},
  year = {2018},
  doi = {10.1038/sdata.2018.161},
}""",
)

DATA = "ham10000"
_COUNTS = {"MEL": 1113, "NV": 6705, "BCC": 514, "AKIEC": 327, "BKL": 1099, "DF": 115, "VASC": 142}


def _claim(metric: str, value: float | int, source: str = "doi:10.7910/DVN/DBW86T") -> Claim:
    return Claim("description of a data set", "HAM10000", metric, float(value), "the data set", PAPER.key, source)


CLAIMS = {
    "counts": (_claim("images", 10015), *(_claim(f"images of {code}", n) for code, n in _COUNTS.items())),
    "confirmed": (_claim("confirmed by histology", 0.5, "doi:10.1038/sdata.2018.161, abstract: more than 50 %"),),
    "lesions": (_claim("lesions", 7470),),
    "sources": (_claim("sources", 4),),
}
"""Claims by the name of the row that they stand in."""


def plan(asked: Asked) -> Plan:
    """Recipe and cases. Raises InputError for data of fewer than two sources or diagnoses."""
    from dermoscope.train.run import data_hash, sources_hash

    recipe = quick(asked.settings)
    check_used(asked, "backbone", "balance", "seed", "preprocessing")
    cases = _opened(asked)
    settings = {"seeds": sources.SEEDS, "folds": sources.FOLDS, "least": sources.LEAST}
    name = asked.data if asked.data in ("", DATA) else Path(asked.data).name
    both = sha256(f"{data_hash(cases)} {sources_hash(cases)}".encode()).hexdigest()
    data = {"name": name or DATA, "sha256": both, "images": len(cases), "lesions": len(set(cases.groups))}
    return Plan({**recipe.as_dict(), **settings}, data, cases)


def _opened(asked: Asked) -> CaseSet:
    given = asked.data or DATA
    cases = open_cases(given)[0].where(lambda c: c.diagnosis is not None and c.path is not None)
    names, diagnoses = facts.sources_of(cases), {case.diagnosis for case in cases}
    if len(names) < 2 or len(diagnoses) < 2:
        raise InputError(
            f"{given}: sources that are named: {len(names)}, diagnoses: {len(diagnoses)}; the study needs two of each. "
            "Sources stand in a column `dataset` or `source` of the table (in HAM10000_metadata.csv of "
            "doi:10.7910/DVN/DBW86T, for HAM10000)"
        )
    return cases


def seven(cases: CaseSet) -> CaseSet:
    """The cases with HAM10000's own seven diagnoses: AK and SCC of ISIC 2019 are its akiec."""
    return cases.merged(ISIC2019_TO_ISIC2018) if cases.taxonomy == ISIC2019 else cases


def for_heads(cases: CaseSet) -> CaseSet:
    """One image of each lesion of the roles training and validation, with a source."""
    return with_role(seven(cases), "training", "validation").where(lambda c: bool(c.source)).one_per_lesion()


def run(context: Context) -> tuple[Row, ...]:
    """Rows of the table, of the files, of every source left out, and of every source under several priors."""
    cases: CaseSet = context.plan.held
    own = context.plan.data["name"] == DATA
    split = f"{context.plan.data['name']}, all of it"
    table = facts.table_rows(seven(cases), CLAIMS if own else {}, "reproduced" if own else "re-measured", split)
    files = facts.file_rows(context, cases, split)
    lab = sources.Lab.open(context, quick(context.asked.settings), for_heads(cases))
    return (*table, *files, sources.lesions_row(lab), *sources.gap_rows(lab), *sources.prior_rows(lab))


def sheet(asked: Asked) -> bytes:
    """A contact sheet of every diagnosis at every source, of the lesions that heads may see."""
    return sheet_of(for_heads(_opened(asked)))


STUDY = Study(
    name=facts.NAME,
    title="HAM10000: counts, shortcuts, and each source left out",
    paper=PAPER,
    claims=tuple(claim for claims in CLAIMS.values() for claim in claims),
    plan=plan,
    run=run,
    plots=plots,
    sheet=sheet,
)
