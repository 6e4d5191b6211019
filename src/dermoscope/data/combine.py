"""Several data sets made one: duplicates across them dropped, groups merged, terms collected.

A picture that stands in two sets is kept once, from the set with the larger copy. Where the copies bear different
diagnoses none of them is used. Lesions and patients that share a picture become one group, and the role of a case
follows from the hash of its group as everywhere (ADR 0001). A merged group is called by the member whose role is kept
back most (test, validation, calibration, training), so that nothing leaves the test role of a set.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError
from dermoscope.data.catalog import CATALOG, described_together, open_cases
from dermoscope.data.combined import MANIFEST, Row, as_csv, cases_table, check_place, place
from dermoscope.data.dataset import DataSet
from dermoscope.data.duplicates import grouped
from dermoscope.data.evidence import Evidence, Progress, look_at
from dermoscope.data.gather import Gathered
from dermoscope.data.grouping import group_ids
from dermoscope.data.join import image_key
from dermoscope.data.licences import licences_page
from dermoscope.data.splits import ROLES, role_of

_ARCHIVE_ID = re.compile(r"ISIC_\d+")


@dataclass(frozen=True)
class Part:
    """One set that was asked for: its name, its cases, what a card says of it, and its entry (None: a path)."""

    name: str
    cases: CaseSet
    said: Mapping[str, str]
    entry: DataSet | None


@dataclass(frozen=True)
class Dropped:
    """An image that is not used: of which set, why, and the one that is kept instead (empty: none)."""

    image: str
    set: str
    reason: str
    instead: str = ""


@dataclass(frozen=True)
class Combined:
    """What was combined: rows in order, what was dropped, sets that were left out (name -> why), sources' holds."""

    parts: tuple[Part, ...]
    rows: tuple[Row, ...]
    dropped: tuple[Dropped, ...]
    left_out: Mapping[str, str]
    whole: CaseSet

    def counts(self) -> dict[str, dict[str, int]]:
        """Images of each diagnosis (and UNK, and `no label`) of each source."""
        taxonomy = self.whole.taxonomy
        codes = [*taxonomy.codes, taxonomy.unknown or "", "no label"]
        counted = Counter((c.source or "", c.diagnosis or (codes[-2] if c.diagnosis_original else codes[-1]))
                          for c in self.whole)  # fmt: skip
        sources = dict.fromkeys(source for source, _ in counted)
        return {s: {code: counted[s, code] for code in codes if code} for s in sources}


def combine(
    given: Sequence[str],
    out: Path,
    *,
    commercial_ok: bool = False,
    dermoscopic_only: bool = False,
    progress: Progress | None = None,
) -> Combined:
    """Combine data sets (catalog names or paths) and write the folder `out`; the same sets give the same bytes.

    `commercial_ok` keeps only sets whose licence is known to allow commercial use, `dermoscopic_only` leaves out
    clinical photographs. Raises InputError where no set remains, for sets of several taxonomies, for a set that cannot
    be read, and for an `out` that holds something else.
    """
    check_place(out)
    left_out = {name: why for name in given if (why := _unwanted(name, commercial_ok, dermoscopic_only))}
    names = [name for name in dict.fromkeys(given) if name not in left_out]
    if not names:
        raise InputError(f"no set is left: {'; '.join(f'{n}: {why}' for n, why in left_out.items()) or 'none given'}")
    parts = tuple(_part(name) for name in names)
    taxonomies = {p.name: p.cases.taxonomy.name for p in parts}
    if len(set(taxonomies.values())) > 1:
        said = ", ".join(f"{name} in {taxonomy}" for name, taxonomy in taxonomies.items())
        raise InputError(f"sets of several taxonomies cannot be combined: {said}; take sets of one")
    found = merged(parts, left_out, progress)
    place(out, _files(found))
    return found


def merged(parts: Sequence[Part], left_out: Mapping[str, str], progress: Progress | None = None) -> Combined:
    """The sets as one, in their order: what is kept, what is dropped, and the groups over all of them."""
    seen = look_at([Gathered(p.name, tuple(p.cases), (), p.cases.taxonomy) for p in parts], None, progress)
    alike = grouped(len(seen.cases), [*seen.duplicates, *_same_ids(seen.cases)]).members()
    groups = _guarded(seen.cases, group_ids(seen.cases, alike))
    kept, dropped = _chosen(seen, alike)
    rows = []
    ids = Counter(image_key(seen.cases[at].image_id) for at in kept)
    for at in kept:
        case, name = seen.cases[at], seen.sets[at]
        image = case.image_id if ids[image_key(case.image_id)] == 1 else f"{Path(name).name}-{case.image_id}"
        rows.append(Row(replace(case, image_id=image, lesion_id=groups[at]), name, case.lesion_id or ""))
    sets = []
    for part in parts:
        own = tuple(row.case for row in rows if row.set == part.name)
        sets.append(CaseSet(own, part.cases.taxonomy, part.cases.holds))
    first, *others = sets
    return Combined(tuple(parts), tuple(rows), dropped, left_out, sum(others, first))


def _guarded(cases: Sequence[Case], groups: Sequence[str]) -> tuple[str, ...]:
    """The groups, each called by the lesion of it whose role is kept back most: what was test is never trained on."""
    names: dict[str, str] = {}
    for case, group in zip(cases, groups, strict=True):
        names[group] = min(names.get(group, case.group), case.group, key=lambda n: (ROLES.index(role_of(n)), n))
    return tuple(names[group] for group in groups)


def _unwanted(name: str, commercial_ok: bool, dermoscopic_only: bool) -> str:
    """Why a set is left out; empty where it is not."""
    entry = CATALOG.get(name)
    if commercial_ok and (entry is None or not entry.commercial):
        known = entry is not None and entry.commercial is False
        return f"its licence {'allows no commercial use' if known else 'is not known to allow commercial use'}"
    if dermoscopic_only and entry is not None and entry.kind == "clinical":
        return "its images are clinical photographs"
    return ""


def _part(name: str) -> Part:
    """A set with named sources, and with lesion and patient ids that no other set can have by chance."""
    cases, said = open_cases(name)
    short = Path(name).name

    def own(identity: str | None) -> str | None:
        return f"{short}/{identity}" if identity and not re.search("[^0-9.]", identity) else identity

    def told(c: Case) -> Case:
        path, copies = c.path.absolute() if c.path else None, tuple(p.absolute() for p in c.copies)
        named = replace(c, source=c.source or short, lesion_id=own(c.lesion_id), patient_id=own(c.patient_id))
        return replace(named, path=path, copies=copies)

    return Part(name, replace(cases, cases=tuple(map(told, cases))), said, CATALOG.get(name))


def _same_ids(cases: Sequence[Case]) -> list[list[int]]:
    """Positions of one ISIC archive id; other ids may be the same by chance."""
    gathered: dict[str, list[int]] = {}
    for at, case in enumerate(cases):
        key = image_key(case.image_id)
        if _ARCHIVE_ID.fullmatch(key):
            gathered.setdefault(key, []).append(at)
    return [at for at in gathered.values() if len(at) > 1]


def _chosen(seen: Evidence, alike: Sequence[Sequence[int]]) -> tuple[list[int], tuple[Dropped, ...]]:
    """Positions that are kept, in order, and what is dropped."""
    out: dict[int, Dropped] = {}
    for at, case in enumerate(seen.cases):
        if seen.facts_of(at) is None:
            problem = seen.facts[case.path].problem if case.path in seen.facts else "no file"
            out[at] = Dropped(case.image_id, seen.sets[at], f"cannot be read: {problem}")
    for members in alike:
        own = [at for at in members if at not in out]
        told = {(seen.sets[at], _label(seen.cases[at])) for at in own if _label(seen.cases[at])}
        if len({label for _, label in told}) > 1:
            why = "copies have different labels: " + ", ".join(f"{label} in {name}" for name, label in sorted(told))
            out |= {at: Dropped(seen.cases[at].image_id, seen.sets[at], why) for at in own}
        elif len({seen.sets[at] for at in own}) > 1:
            best = max(own, key=lambda at: (bool(_label(seen.cases[at])), _pixels(seen, at), -at))
            for at in own:
                if seen.sets[at] != seen.sets[best]:
                    why = _reason(seen, at, best)
                    out[at] = Dropped(seen.cases[at].image_id, seen.sets[at], why, seen.name(best))
    return [at for at in range(len(seen.cases)) if at not in out], tuple(out[at] for at in sorted(out))


def _label(case: Case) -> str:
    return case.diagnosis or ("UNK" if case.diagnosis_original else "")


def _pixels(seen: Evidence, at: int) -> int:
    facts = seen.facts_of(at)
    return facts.width * facts.height if facts else 0


def _reason(seen: Evidence, at: int, best: int) -> str:
    first, second = seen.facts_of(at), seen.facts_of(best)
    more = _pixels(seen, best) > _pixels(seen, at)
    larger = f", {_pixels(seen, best):,} px instead of {_pixels(seen, at):,}" if more else ""
    if image_key(seen.cases[at].image_id) == image_key(seen.cases[best].image_id):
        return f"same id{larger}"
    if first and second and first.sha256 == second.sha256:
        return "same file"
    return f"same picture{larger}"


def _files(found: Combined) -> dict[str, bytes]:
    """The files of the folder, by name."""
    taxonomy = found.whole.taxonomy
    counts = found.counts()
    codes = list(next(iter(counts.values()), {}))
    table = [(source, *of.values(), sum(of.values())) for source, of in counts.items()]
    totals = [sum(of[code] for of in counts.values()) for code in codes]
    split = [(r.case.image_id, r.case.group, role_of(r.case.group)) for r in found.rows]
    lost = [(d.image, d.set, d.reason, d.instead) for d in found.dropped]
    used = Counter(row.set for row in found.rows)
    entries = [(p.name, used[p.name], p.entry, p.said) for p in found.parts]
    files = {
        "cases.csv": cases_table(found.rows, taxonomy.unknown or ""),
        "split.csv": as_csv(("image", "group", "role"), split),
        "dropped.csv": as_csv(("image", "set", "reason", "kept_instead"), lost),
        "table.csv": as_csv(("source", *codes, "all"), [*table, ("all", *totals, sum(totals))]),
        "licences.md": licences_page(entries, found.left_out).encode(),
    }
    said = {
        "sets": [p.name for p in found.parts],
        "left_out": dict(found.left_out),
        "taxonomy": taxonomy.name,
        "holds": {source: sorted(codes) for source, codes in found.whole.holds.items()},
        "described": dict(described_together({p.name: p.said for p in found.parts})),
        "sha256": {name: sha256(data).hexdigest() for name, data in files.items()},
    }
    return files | {MANIFEST: (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode()}
