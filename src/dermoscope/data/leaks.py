"""Findings of an audit about labels and roles: what contradicts itself, and what stands on two sides of a split."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from dermoscope.core.audit import Finding, Gravity
from dermoscope.core.cases import Case
from dermoscope.data.evidence import Evidence
from dermoscope.data.findings import counted, shown
from dermoscope.data.grouping import counts_by_role, lacking

_SPLIT = "Make a split that keeps them together: `dermoscope data split`, then --split."


def about_labels(seen: Evidence) -> Iterator[Finding]:
    """Lesions with two diagnoses or two patients, and, as a note, patients with lesions of several diagnoses."""
    by_lesion = _together(seen, lambda c: c.lesion_id)
    torn = [at for at in by_lesion if len(_labels(seen, at)) > 1]
    if torn:
        what = f"{counted(len(torn), 'lesion')} with different diagnoses"
        remedy = "Find out which is right: one lesion has one diagnosis."
        yield Finding("conflicting labels", "grave", what, remedy, **shown(seen, torn))
    owned = [at for at in by_lesion if len({seen.cases[i].patient_id for i in at} - {None}) > 1]
    if owned:
        what = f"{counted(len(owned), 'lesion')} of two patients"
        yield Finding("two patients", "grave", what, "Mend the lesion or patient ids.", **shown(seen, owned))
    mixed = [at for at in _together(seen, lambda c: c.patient_id) if len(_labels(seen, at)) > 1]
    if mixed:
        what = f"{counted(len(mixed), 'patient')} with lesions of different diagnoses, which is no fault"
        yield Finding("patients with several diagnoses", "note", what, "", shown(seen, mixed)["items"])


def about_duplicates(seen: Evidence) -> Iterator[Finding]:
    """The same picture with two diagnoses, under two lesion ids, in two sets; and, as a note, within a lesion."""
    conflicts = [g for g in seen.duplicates if len(_labels(seen, g)) > 1]
    if conflicts:
        what = f"{counted(len(conflicts), 'picture')} with different diagnoses"
        yield Finding(
            "duplicate with another label", "grave", what, "Find out which is right.", **shown(seen, conflicts)
        )
    across = [g for g in seen.duplicates if len({seen.sets[at] for at in g}) > 1]
    if across:
        what = f"{counted(len(across), 'picture')} in more than one data set"
        remedy = "Train and test on these sets together only with a split of both."
        yield Finding("duplicate across sets", "warning", what, remedy, **shown(seen, across))
    apart = [g for g in seen.duplicates if len({seen.cases[at].group for at in g}) > 1 and g not in across]
    if apart:
        what = f"{counted(len(apart), 'picture')} under different lesion ids (or none), exactly or nearly the same"
        # A split that was given either keeps them together or is a leak, which is a finding of its own.
        gravity: Gravity
        gravity, remedy = ("note", "") if seen.split else ("warning", _SPLIT)
        yield Finding("duplicate", gravity, what, remedy, **shown(seen, apart))
    within = [g for g in seen.duplicates if g not in across and g not in apart]
    if within:
        what = f"{counted(len(within), 'lesion')} with near-duplicate images, which the lesion id keeps together"
        yield Finding("duplicate within a lesion", "note", what, "", **shown(seen, within))
    copies = [c for c in seen.cases if c.copies]
    if copies:
        yield Finding(
            "copies", "note", f"{counted(len(copies), 'image')} with further copies in other sizes or folders"
        )


def about_roles(seen: Evidence) -> Iterator[Finding]:
    """What stands on two sides: lesions, patients, duplicates; images that a split does not hold; roles that lack."""
    where = "of the split file" if seen.split else "by the hash of the lesion"
    sides: tuple[tuple[str, list[list[int]]], ...] = (
        ("lesion", _together(seen, lambda c: c.lesion_id)),
        ("patient", _together(seen, lambda c: c.patient_id)),
        ("duplicate", seen.duplicates),
    )
    for kind, together in sides:
        torn = [g for g in together if len({seen.roles[at] for at in g} - {None}) > 1]
        if torn:
            noun = "near-duplicate picture" if kind == "duplicate" else kind
            what = f"{counted(len(torn), noun)} in two roles {where}"
            yield Finding(f"{kind} in two roles", "grave", what, _SPLIT, **shown(seen, torn, with_role=True))
    labelled = [at for at, c in enumerate(seen.cases) if c.diagnosis]
    unheld = [at for at in labelled if seen.roles[at] is None]
    if unheld:
        what = f"{counted(len(unheld), 'image')} without a role in the split file"
        yield Finding("no role", "grave", what, "Make the split again.", tuple(map(seen.name, unheld)))
    gaps = lacking(roles_of(seen)) if labelled else ()
    if gaps:
        what = f"{counted(len(gaps), 'role')} without a diagnosis: no figure can be measured for it there"
        yield Finding("role without a diagnosis", "warning", what, "", gaps)


def roles_of(seen: Evidence) -> dict:
    """Images of each diagnosis in each role. Two sets may hold one image id, so positions are counted, not ids."""
    told = tuple(replace(case, image_id=str(at)) for at, case in enumerate(seen.cases))
    return counts_by_role(told, {str(at): role for at, role in enumerate(seen.roles) if role is not None})


def _together(seen: Evidence, key: Callable[[Case], str | None]) -> list[list[int]]:
    """Positions of cases that share a key, where more than one does."""
    gathered: dict[str, list[int]] = {}
    for at, case in enumerate(seen.cases):
        name = key(case)
        if name:
            gathered.setdefault(name, []).append(at)
    return [at for at in gathered.values() if len(at) > 1]


def _labels(seen: Evidence, at: list[int]) -> set[str | None]:
    return {seen.cases[i].diagnosis for i in at} - {None}
