"""Findings of an audit about files: which cannot be read, are of an odd size, empty, or not what their name says."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dermoscope.core.audit import Finding, Member
from dermoscope.core.errors import some
from dermoscope.data.duplicates import FLAT
from dermoscope.data.evidence import Evidence

SMALLEST = 100
"""Shorter side in px below which the structures of a lesion are lost."""
USUAL = 0.8
"""Share of a folder's files that must have one size for others to be odd."""

_SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF",
    ".bmp": "BMP", ".gif": "GIF", ".webp": "WEBP",
}  # fmt: skip


def about_files(seen: Evidence) -> Iterator[Finding]:
    """Broken, small, odd-sized, blank and misnamed files, images that no table names, and images without label."""
    sound = [f for f in seen.facts.values() if not f.problem]
    broken = tuple(f"{f.path}: {f.problem}" for f in seen.facts.values() if f.problem)
    if broken:
        remedy = "Copy or download them again, or remove their rows."
        yield Finding("broken file", "grave", f"{counted(len(broken), 'file')} cannot be read", remedy, broken)
    wrong = [f for f in sound if _SUFFIXES.get(f.path.suffix.lower(), f.format) != f.format]
    if wrong:
        lines = tuple(f"{f.path} holds {f.format}" for f in wrong)
        what = f"{counted(len(wrong), 'file')} of another type than the name says"
        yield Finding("wrong type", "warning", what, "They are read by content; rename them for other programs.", lines)
    small = [f for f in sound if min(f.width, f.height) < SMALLEST]
    if small:
        lines = tuple(f"{f.path}: {f.width} x {f.height}" for f in small)
        what = f"{counted(len(small), 'image')} with a side below {SMALLEST} px"
        yield Finding("small image", "warning", what, "Look whether larger originals exist.", lines)
    blank = [f for f in sound if f.contrast < FLAT]
    if blank:
        what = f"{counted(len(blank), 'blank image')} (one colour)"
        yield Finding("blank image", "grave", what, "Remove them.", tuple(str(f.path) for f in blank))
    yield from _odd_sizes(seen)
    yield from _without_words(seen)


def _odd_sizes(seen: Evidence) -> Iterator[Finding]:
    folders: dict[Path, list[tuple[tuple[int, int], Path]]] = {}
    for facts in seen.facts.values():
        if not facts.problem:
            folders.setdefault(facts.path.parent, []).append(((facts.width, facts.height), facts.path))
    for folder, files in sorted(folders.items()):
        # Upright and lying forms of one size are one: cameras are turned.
        sizes = Counter((max(size), min(size)) for size, _ in files)
        usual, n = sizes.most_common(1)[0]
        odd = [(size, path) for size, path in files if (max(size), min(size)) != usual]
        if odd and n >= USUAL * len(files):
            what = f"{len(odd):,} of {len(files):,} images in {folder} are not {usual[0]} x {usual[1]} px as the others"
            lines = tuple(f"{path.name}: {w} x {h}" for (w, h), path in odd)
            yield Finding("odd size", "warning", what, "Find out where they come from: size is a shortcut.", lines)
        elif odd:
            shown = some(f"{w} x {h} ({k:,})" for (w, h), k in sizes.most_common())
            yield Finding("sizes", "note", f"{folder} holds images of {len(sizes):,} sizes: {shown}")


def _without_words(seen: Evidence) -> Iterator[Finding]:
    bare = [at for at, c in enumerate(seen.cases) if c.diagnosis is None and c.path]
    if bare and len(bare) < len(seen.cases):
        what = f"{counted(len(bare), 'image')} without a label or in no table; training leaves them out"
        yield Finding("no label", "note", what, "", tuple(map(seen.name, bare)))
    elif bare:
        yield Finding(
            "no label",
            "warning",
            "no image has a label",
            "Give a table with a column diagnosis, dx or label, or a folder per class.",
        )
    alone = [at for at, c in enumerate(seen.cases) if c.diagnosis and not c.lesion_id]
    if alone:
        what = f"{counted(len(alone), 'image')} without a lesion id; each counts as a lesion of its own"
        remedy = "Images of one lesion may stand on both sides: `dermoscope data split` keeps near-duplicates together."
        yield Finding("no lesion id", "warning", what, remedy, tuple(map(seen.name, alone)))


def counted(n: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def shown(seen: Evidence, groups: list[list[int]], with_role: bool = False) -> dict[str, tuple]:
    """`items` and `groups` of a finding about groups of images."""
    members: tuple[tuple[Member, ...], ...] = tuple(tuple(seen.member(at, with_role) for at in g) for g in groups)
    return {"items": tuple(" = ".join(f"{m.image} ({m.said})" for m in g) for g in members), "groups": members}
