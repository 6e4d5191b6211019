"""Whether data sets can be trusted: every file looked at, every fault a finding, and none of them the end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from dermoscope.core.audit import GRAVITIES, Audit, PropertyTable, Share, Shortcut
from dermoscope.core.cases import CaseSet
from dermoscope.data.evidence import Evidence, Progress, look_at
from dermoscope.data.findings import about_files
from dermoscope.data.gather import Gathered, gather
from dermoscope.data.grouping import split_rows
from dermoscope.data.leaks import about_duplicates, about_labels, about_roles, roles_of
from dermoscope.data.splits import Split, write_split


def audit(
    given: Sequence[str], split: Split | None = None, progress: Progress | None = None
) -> tuple[Audit, dict[str, PropertyTable]]:
    """Audit data sets (catalog names or paths) together: the findings, and the file properties by set and of `all`.

    `progress` is called with (phase, done, total). The shortcuts are measured from the property tables by
    `evaluate.shortcuts`. Raises InputError where a name or path does not exist or holds nothing.
    """
    sets = [gather(name) for name in dict.fromkeys(given)]
    seen = look_at(sets, split, progress)
    found = [f for one in sets for f in one.findings]
    for about in (about_files, about_labels, about_duplicates, about_roles):
        found += about(seen)
    found.sort(key=lambda f: GRAVITIES.index(f.gravity))
    whole = Audit(
        given=tuple(s.name for s in sets),
        sizes=_sizes(seen),
        counts={s.name: _counts(s, seen) for s in sets},
        roles=roles_of(seen),
        findings=tuple(found),
        split=split.sha256 if split else "",
        when=date.today().isoformat(),
    )
    return whole, property_tables(seen)


def with_shortcuts(whole: Audit, shortcuts: Sequence[Shortcut], shares: Sequence[Share], version: str) -> Audit:
    """The audit with what `evaluate.shortcuts` measured, and the version of the program that made it."""
    return replace(whole, shortcuts=tuple(shortcuts), shares=tuple(shares), version=version)


def make_split(cases: CaseSet, path: Path, progress: Progress | None = None) -> tuple[Split, int, tuple[str, ...]]:
    """Write the split of a data set: lesion, patient and near-duplicates together, roles by the hash of the group.

    Returns the split, how many groups hold more than one lesion, and what could not be read: such images were not
    compared. Raises InputError where the file cannot be written.
    """
    seen = look_at([Gathered(str(path), tuple(cases), (), cases.taxonomy)], None, progress)
    lesions: dict[str, set[str]] = {}
    for group, case in zip(seen.groups, cases, strict=True):
        lesions.setdefault(group, set()).add(case.group)
    unread = tuple(f"{f.path}: {f.problem}" for f in seen.facts.values() if f.problem)
    split = write_split(path, split_rows(tuple(cases), seen.duplicates))
    return split, sum(len(own) > 1 for own in lesions.values()), unread


def property_tables(seen: Evidence) -> dict[str, PropertyTable]:
    """File properties of the labelled, readable images: of each set, and of `all` where there are several."""
    rows = [at for at, case in enumerate(seen.cases) if case.diagnosis and seen.facts_of(at)]
    table = _table(seen, rows)
    if not seen.several:
        return dict.fromkeys(dict.fromkeys(seen.sets), table)
    of = np.array([seen.sets[at] for at in rows])
    return {"all": table, **{name: table.rows(of == name) for name in dict.fromkeys(seen.sets)}}


def _table(seen: Evidence, rows: Sequence[int]) -> PropertyTable:
    facts = [f for at in rows if (f := seen.facts_of(at))]
    cases = [seen.cases[at] for at in rows]
    numbers = np.array([(f.width / f.height, f.size, f.sharpness, *f.border) for f in facts], float).reshape(-1, 6)
    columns = {
        "source": (np.array([c.source or seen.sets[at] for at, c in zip(rows, cases, strict=True)], str),),
        "files per image": (np.array([str(1 + len(c.copies)) for c in cases], str),),
        "width x height": (np.array([f"{f.width} x {f.height}" for f in facts], str),),
        "aspect": (numbers[:, 0],),
        "bytes": (numbers[:, 1],),
        "JPEG tables": (np.array([f.tables or f.format for f in facts], str),),
        "sharpness": (numbers[:, 2],),
        "border colour": (numbers[:, 3], numbers[:, 4], numbers[:, 5]),
    }
    return PropertyTable(tuple(c.diagnosis for c in cases), tuple(seen.groups[at] for at in rows), columns)


def _sizes(seen: Evidence) -> dict[str, int]:
    return {
        "images": len(seen.cases),
        "files": len(seen.facts),
        "lesions": len({c.lesion_id for c in seen.cases if c.lesion_id}),
        "patients": len({c.patient_id for c in seen.cases if c.patient_id}),
        "near-duplicate groups": len(seen.duplicates),
    }


def _counts(one: Gathered, seen: Evidence) -> dict[str, dict[str, int]]:
    """Source -> diagnosis -> images; images without a diagnosis as `no label`."""
    own = [case for case, name in zip(seen.cases, seen.sets, strict=True) if name == one.name]
    counted = Counter((case.source or one.name, case.diagnosis or "no label") for case in own)
    codes = [*dict.fromkeys(code for code in (*one.taxonomy.codes, *(c.diagnosis for c in own)) if code), "no label"]
    sources = sorted({source for source, _ in counted})
    return {s: {code: counted[s, code] for code in codes if counted[s, code]} for s in sources}
