"""What HAM10000's table and files say: diagnoses, confirmation, lesions, sources, people, files, shortcuts.

Counts are of images or lesions as their name says. Shares are of lesions, with Wilson's interval; where images are
counted, the interval is that of as many images as their lesions are worth. A lesion is told by its first image:
diagnosis, confirmation and person are the same for all of its images.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dermoscope.core.audit import PropertyTable
from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.claim import Claim
from dermoscope.core.estimate import Estimate, Unit
from dermoscope.core.study import Measured, Row, RowType
from dermoscope.data.duplicates import Link, grouped
from dermoscope.data.evidence import links_between, look_at
from dermoscope.data.gather import Gathered
from dermoscope.evaluate.intervals import percentile, rate
from dermoscope.evaluate.resampling import bootstrap, cluster
from dermoscope.evaluate.shortcuts import shortcuts
from dermoscope.studies.base import Context, Piece
from dermoscope.studies.material import whole_field

NAME = "tschandl2018"
HISTOLOGY = "histo"
"""How HAM10000's column `dx_type` calls histopathology."""

RESAMPLES = 1000
"""Of the intervals of mean ages."""

FILE_PROPERTIES = "file properties"
PERSON = "age, sex and site"
PREDICTORS = ("source", FILE_PROPERTIES, PERSON, "all together")
"""What a diagnosis is told from in the row `shortcuts`, in this order."""


def table_rows(cases: CaseSet, claims: Mapping[str, tuple[Claim, ...]], kind: RowType, split: str) -> list[Row]:
    """Rows of what the table says; `claims` by the name of their row, `kind` is what all of them are."""
    made: list[tuple[str, str, Callable[[CaseSet, str], list[Measured]], str]] = [
        ("counts", "Images of each diagnosis", _counts, ""),
        (
            "confirmed",
            "Confirmed by histopathology, share of lesions",
            _confirmed,
            "the paper says `more than 50 % of lesions`, which is a bound and not a figure: it is true of images, and "
            "fewer than half of the lesions were confirmed by histopathology",
        ),
        ("ways", "How diagnoses were confirmed, images", _ways, ""),
        ("lesions", "Lesions and their images", _lesions, ""),
        ("several", "Lesions of several images, share", _several, ""),
        ("sources", "The sources", _sources, "images of each diagnosis and source stand in the audit"),
        (
            "people",
            "Age, sex and site",
            _people,
            "lesions of which it is known; age is in years, and given in steps of five",
        ),
    ]
    return [
        Row(NAME, kind, name, title, claims.get(name, ()), tuple(count(cases, split)), note if claims else "")
        for name, title, count, note in made
    ]


def file_rows(context: Context, cases: CaseSet, split: str) -> list[Row]:
    """Rows of what the files say: size, near-duplicates, and how far sources and files tell the diagnosis."""
    held = context.piece({"files": "near-duplicates of both copies"}, lambda: _looked_at(context, cases))
    return [_files(cases, held, split), _shortcuts(context, cases, held, split)]


def counted(metric: str, value: int, unit: Unit, split: str) -> Measured:
    """A plain number, which has no interval."""
    return Measured(metric, Estimate(float(value), None, None, "counted", unit, value), split, "counted")


def _share(metric: str, among: Iterable[Case], hit: Callable[[Case], bool], split: str) -> Measured:
    hits = [hit(case) for case in among]
    return Measured(metric, Estimate.of_counts(sum(hits), len(hits), "lesion", "lesion"), split, "counted")


def _counts(cases: CaseSet, split: str) -> list[Measured]:
    found = [counted("images", len(cases), "image", split)]
    return found + [counted(f"images of {code}", n, "image", split) for code, n in cases.counts().items()]


def _confirmed(cases: CaseSet, split: str) -> list[Measured]:
    lesions = cases.one_per_lesion()
    hits = np.array([_by_histology(case) for case in cases])
    clusters = cluster(cases.groups, cases.labels, "lesion")
    of_images = rate(hits, np.ones(len(cases), bool), np.ones(len(cases)), clusters)
    found = [
        _share("confirmed by histology", lesions, _by_histology, split),
        Measured("of images", of_images, split, "counted"),
    ]
    for code in cases.taxonomy.codes:
        found.append(_share(f"of {code}", [c for c in lesions if c.diagnosis == code], _by_histology, split))
    for source in sources_of(cases):
        found.append(_share(f"of {source}", [c for c in lesions if c.source == source], _by_histology, split))
    return found


def _ways(cases: CaseSet, split: str) -> list[Measured]:
    ways = Counter((case.diagnosis, case.confirmed_by or "unknown") for case in cases)
    order = [way for way, _ in Counter(case.confirmed_by or "unknown" for case in cases).most_common()]
    return [
        counted(f"{code} by {way}", ways[code, way], "image", split)
        for code in cases.taxonomy.codes
        for way in order
        if ways[code, way]
    ]


def _by_histology(case: Case) -> bool:
    return case.confirmed_by == HISTOLOGY


def _lesions(cases: CaseSet, split: str) -> list[Measured]:
    images = Counter(cases.groups)
    places: dict[str, set[str | None]] = {}
    for case in cases:
        places.setdefault(case.group, set()).add(case.source)
    sizes = sorted(Counter(images.values()).items())
    found = [counted("lesions", len(images), "lesion", split)]
    found += [counted(f"of {k} image{'s' * (k > 1)}", n, "lesion", split) for k, n in sizes]
    return [*found, counted("of several sources", sum(len(s) > 1 for s in places.values()), "lesion", split)]


def _several(cases: CaseSet, split: str) -> list[Measured]:
    images, lesions = Counter(cases.groups), cases.one_per_lesion()
    parts = {code: [case for case in lesions if case.diagnosis == code] for code in cases.taxonomy.codes}
    return [
        _share(f"of {name}", of, lambda case: images[case.group] > 1, split)
        for name, of in {"all lesions": list(lesions), **parts}.items()
    ]


def sources_of(cases: CaseSet) -> list[str]:
    """The sources, the one with most images first."""
    return [source for source, _ in Counter(c.source for c in cases if c.source).most_common()]


def _sources(cases: CaseSet, split: str) -> list[Measured]:
    names, lesions = sources_of(cases), cases.one_per_lesion()
    found = [counted("sources", len(names), "image", split)]
    for unit, of in (("image", cases), ("lesion", lesions)):
        number = Counter(case.source for case in of)
        found += [counted(f"{unit}s of {name}", number[name], unit, split) for name in names]  # type: ignore[arg-type]
    return found


def _people(cases: CaseSet, split: str) -> list[Measured]:
    lesions = cases.one_per_lesion()
    aged = [case for case in lesions if case.age is not None]
    found = [_mean_age("mean age", aged, split)]
    for source in sources_of(cases):
        found.append(_mean_age(f"mean age, {source}", [c for c in aged if c.source == source], split))
    known = [case for case in lesions if case.sex]
    found.append(_share("women", known, lambda case: case.sex == "female", split))
    placed = [case for case in lesions if case.site]
    for site, _ in Counter(case.site for case in placed).most_common():
        found.append(_share(f"site {site}", placed, lambda case, s=site: case.site == s, split))  # type: ignore[misc]
    for what, of in (("age", aged), ("sex", known), ("site", placed)):
        found.append(counted(f"without {what}", len(lesions) - len(of), "lesion", split))
    return found


def _mean_age(metric: str, lesions: Sequence[Case], split: str) -> Measured:
    ages = np.array([case.age for case in lesions], float)
    if not len(ages):
        return Measured(metric, Estimate.not_measurable("no lesion with an age", "lesion", 0), split, "counted")
    clusters = cluster([case.group for case in lesions], np.zeros(len(ages), np.int64), "lesion")
    draws = bootstrap(lambda w: ((ages @ w) / w.sum(axis=0))[None], clusters, np.ones(len(ages)), resamples=RESAMPLES)[
        0
    ]
    low, high = percentile(draws)
    value = float(ages.mean())
    made = Estimate(value, min(low, value), max(high, value), "bootstrap", "lesion", len(ages))
    return Measured(metric, made, split, "counted")


def _looked_at(context: Context, cases: CaseSet) -> Piece:
    """Facts of the whole-field file of every case, as columns, and the near-duplicates among either copy.

    The audit compares the preferred copies, of which some are the whole field and others its centre: `same` and
    `groups` are as it finds them. Among whole fields (`same_whole`) all pictures show equally much.
    """
    seen = look_at([Gathered("", tuple(cases), (), cases.taxonomy)], None, context.told)
    whole = [replace(case, path=whole_field(case)) for case in cases]
    links = links_between(whole, seen.facts, lambda done, total: context.told("comparing whole fields", done, total))
    facts = [seen.facts[whole_field(case)] for case in cases]
    return {
        "readable": np.array([not f.problem for f in facts]),
        "size": np.array([(f.width, f.height) for f in facts]),
        "bytes": np.array([f.size for f in facts], float),
        "tables": np.array([f.tables or f.format for f in facts]),
        "sharpness": np.array([f.sharpness for f in facts]),
        "border": np.array([f.border for f in facts]),
        "groups": np.array(seen.groups),
        "same": _pairs(seen.links),
        "same_whole": _pairs(links),
    }


def _pairs(links: Iterable[Link]) -> np.ndarray:
    return np.array([(link.first, link.second) for link in links], int).reshape(-1, 2)


def _files(cases: CaseSet, held: Piece, split: str) -> Row:
    sizes = Counter(f"{w} x {h}" for w, h in held["size"][held["readable"]].tolist())
    found = [counted(f"files of {size} px", n, "image", split) for size, n in sizes.most_common(6)]
    found.append(counted("with a sharper copy", sum(bool(case.copies) for case in cases), "image", split))
    found.append(counted("that cannot be read", int((~held["readable"]).sum()), "image", split))
    for copy, key in (("sharpest copies", "same"), ("whole fields", "same_whole")):
        groups = grouped(len(cases), held[key].tolist()).members()
        torn = [rows for rows in groups if len({cases.groups[row] for row in rows}) > 1]
        between = [rows for rows in groups if len({cases.cases[row].source for row in rows}) > 1]
        for what, of in (
            ("near-duplicate groups", groups),
            ("of several lesion ids", torn),
            ("of several sources", between),
        ):
            found.append(replace(counted(what, len(of), "image", split), bundle=copy))
    note = "copies as they are here, not the published files; counted are those that show the whole field"
    if torn:
        told = "; ".join(" = ".join(cases.ids[row] for row in rows) for rows in torn[:10])
        note += f". Whole fields that are taken for one under several lesion ids: {told}"
    return Row(NAME, "re-measured", "files", "The files", (), tuple(found), note)


def _shortcuts(context: Context, cases: CaseSet, held: Piece, split: str) -> Row:
    told = [_known(case) for case in cases]
    columns = {
        "source": (np.array([case.source or "" for case in cases]),),
        FILE_PROPERTIES: (
            *held["size"].T.astype(float),
            held["bytes"],
            held["tables"],
            held["sharpness"],
            *held["border"].T,
        ),
        PERSON: (np.array([age for age, _, _ in told], float), *np.array([rest for _, *rest in told]).T),
    }
    table = PropertyTable(tuple(c.diagnosis for c in cases), tuple(held["groups"].tolist()), columns)
    found = shortcuts(table.rows(held["readable"]), progress=lambda done, total: context.told("shortcuts", done, total))
    order = {name: at for at, name in enumerate(PREDICTORS)}
    codes = {code: at for at, code in enumerate(cases.taxonomy.codes)}
    found.sort(key=lambda one: (order[one.name], codes[one.diagnosis]))
    measured = tuple(Measured(f"AUC {one.diagnosis}", one.auc, split, one.name) for one in found)
    note = (
        "AUC against the rest of a ridge logistic regression, five folds by lesion, as in the audit; file properties: "
        "bytes, size, JPEG tables, sharpness and border colour of the copy with the whole field. Age, sex and site are "
        "no artefact, and stand here to compare with"
    )
    return Row(NAME, "method check", "shortcuts", "What tells the diagnosis but the lesion", (), measured, note)


def _known(case: Case) -> tuple[float, str, str]:
    return (np.nan if case.age is None else case.age, case.sex or "", case.site or "")
