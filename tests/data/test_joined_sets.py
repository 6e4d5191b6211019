"""Data sets joined by `+`, and the lists of lesions that show one picture under several ids."""

import os
from collections.abc import Mapping
from pathlib import Path

import known_groups as tool
import numpy as np
import pytest
from PIL import Image

from dermoscope.core.errors import InputError
from dermoscope.data.catalog import CATALOG, known_groups, load, open_cases
from dermoscope.data.splits import role_of

DATA = os.environ.get("DERMOSCOPE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="DERMOSCOPE_DATA is not set: no public data set to load")


def folder(path: Path, rows: Mapping[str, str], more: str = "") -> Path:
    """A folder of small images with a table: id -> diagnosis."""
    path.mkdir(parents=True)
    for n, name in enumerate(rows):
        pixels = np.random.default_rng(n).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{name}.png")
    extra = f",{more}" if more else ""
    lines = [f"image,diagnosis{',source' if more else ''}", *(f"{name},{dx}{extra}" for name, dx in rows.items())]
    (path / "cases.csv").write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    first = folder(tmp_path / "vienna", {f"V{n}": "MEL" if n % 2 else "NV" for n in range(20)})
    return first, folder(tmp_path / "sydney", {f"S{n}": "BCC" if n % 2 else "SCC" for n in range(20)}, "north")


def test_later_sets_join_with_their_training_role_only(two: tuple[Path, Path]) -> None:
    first, later = two
    cases, said = open_cases(f"{first}+{later}")
    alone, _ = open_cases(str(first))
    assert cases.ids[: len(alone)] == alone.ids
    joined = cases.ids[len(alone) :]
    assert joined == tuple(i for i in open_cases(str(later))[0].ids if role_of(i) == "training")
    assert 0 < len(joined) < 20
    assert {c.source for c in cases} == {"vienna", "north"}
    assert said == {
        "name": "vienna + sydney",
        "licence": "vienna: not stated; sydney: not stated",
        "citation": "vienna: not stated; sydney: not stated",
        "weights_licence": "not stated",
    }


def test_folders_of_one_name_stay_two_sources(tmp_path: Path) -> None:
    first = folder(tmp_path / "a/images", {"A1": "NV"})
    later = folder(tmp_path / "b/images", {f"B{n}": "NV" for n in range(5)})
    assert {c.source for c in open_cases(f"{first}+{later}")[0]} == {str(first), str(later)}


def test_a_path_may_have_the_sign_in_its_name(tmp_path: Path, two: tuple[Path, Path]) -> None:
    strange = folder(tmp_path / "c+d", {f"C{n}": "NV" for n in range(5)})
    assert open_cases(str(strange))[1]["name"] == "c+d"
    assert open_cases(f"{two[0]}+{strange}")[1]["name"] == "vienna + c+d"


def test_what_cannot_be_joined_is_refused(tmp_path: Path, two: tuple[Path, Path]) -> None:
    first, later = two
    again = folder(tmp_path / "again", {"V1_downsampled": "MEL", "V2": "NV", "W": "NV"})
    with pytest.raises(InputError, match=r"vienna and .*again share 2 images \(V1, V2\); `dermoscope data combine`"):
        open_cases(f"{first}+{later}+{again}")
    seven = folder(tmp_path / "seven", {"X": "AKIEC"})
    with pytest.raises(InputError, match=r"several taxonomies .*vienna in isic2019, .*seven in isic2018; take sets"):
        open_cases(f"{first}+{seven}")
    for wrong, part in ((f"{first}+", "''"), (f"{first}+ham", "'ham'"), ("+", "''")):
        with pytest.raises(InputError, match=f"no data set and no path {part}"):
            open_cases(wrong)


def test_the_lists_hold_no_lesion_alone() -> None:
    for entry in CATALOG.values():
        groups = known_groups(entry)
        assert not groups or len(set(groups.values())) <= len(groups) // 2
    assert len(known_groups(CATALOG["isic2017"])) == 72


@needs_data
def test_no_near_duplicates_of_isic2017_stand_on_two_sides() -> None:
    listed = (tool.FOLDER / "isic2017.csv").read_bytes()
    assert tool.known_groups("isic2017") == listed, "run `python tools/known_groups.py isic2017`"
    cases, apart = load("isic2017"), load("isic2017", joined=False)
    assert cases.ids == apart.ids
    roles: dict[str, set[str]] = {}
    split = 0
    for case, alone in zip(cases, apart, strict=True):
        roles.setdefault(known_groups(CATALOG["isic2017"]).get(case.image_id, ""), set()).add(role_of(case.group))
        split += role_of(case.group) != role_of(alone.group)
    roles.pop("")
    assert len(roles) == 36
    assert all(len(of) == 1 for of in roles.values())
    assert split > 0, "without the list some stood apart"


@needs_data
def test_ham10000_and_isic2017() -> None:
    cases, said = open_cases("ham10000+isic2017")
    ham, other = load("ham10000"), load("isic2017")
    assert cases.ids[: len(ham)] == ham.ids
    assert len(cases) == len(ham) + sum(role_of(c.group) == "training" for c in other)
    assert cases.holds == {"isic2017": frozenset({"MEL", "NV", "BKL"})}
    assert said["weights_licence"].startswith("CC BY-NC-SA 4.0; CC0-1.0")
    assert "CC BY-NC" in said["licence"]
    assert "10.7910/DVN/DBW86T" in said["citation"]
    assert "arXiv:1710.05006" in said["citation"]
