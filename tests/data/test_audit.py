"""An audit of messy folders: every fault is a finding, none is the end."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermoscope.core.audit import Audit, Finding
from dermoscope.core.errors import InputError, TableError
from dermoscope.data.audit import audit, make_split
from dermoscope.data.properties import facts_of, quantisation_tables
from dermoscope.data.readers import read_cases
from dermoscope.data.splits import Split, read_split
from dermoscope.data.synthetic import draw, encode

needs_data = pytest.mark.skipif(
    not os.environ.get("DERMOSCOPE_DATA"), reason="DERMOSCOPE_DATA is not set: no real data set to audit"
)


def kinds(found: Audit) -> dict[str, Finding]:
    return {f.kind: f for f in found.findings}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images of ten lesions with a table; nothing is wrong with them."""
    rows = ["image,dx,lesion_id,patient_id,dataset"]
    for n in range(12):
        code = ("MEL", "NV", "BKL")[n % 3]
        (tmp_path / f"i{n:02d}.jpg").write_bytes(draw(n, code, (160, 120)).jpeg())
        rows.append(f"i{n:02d},{code},l{n:02d},,clinic")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def edited(folder: Path, old: str, new: str) -> None:
    table = folder / "table.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))


def test_a_sound_folder_has_nothing_grave(folder: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    found, tables = audit([str(folder)], progress=lambda *step: steps.append(step))
    assert not found.of("grave")
    assert found.sizes == {"images": 12, "files": 12, "lesions": 12, "patients": 0, "near-duplicate groups": 0}
    assert found.counts == {str(folder): {"clinic": {"MEL": 4, "NV": 4, "BKL": 4}}}
    assert sum(n for of in found.roles.values() for n in of.values()) == 12
    assert len(tables[str(folder)]) == 12
    assert ("reading files", 12, 12) in steps


def test_a_file_name_that_is_no_text_is_a_finding(folder: Path) -> None:
    shutil.copy(folder / "i00.jpg", os.fsencode(folder) + b"/n\xff.jpg")
    for _ in range(2):  # beside a table, and as a folder per class
        found = kinds(audit([str(folder)])[0])["nameless file"]
        assert (found.gravity, found.items[0].rpartition("/")[2]) == ("grave", "n\\udcff.jpg")
        assert "1 image file with a name that is no UTF-8 text, left out here" in found.what
        (folder / "table.csv").unlink(missing_ok=True)
    with pytest.raises(TableError, match=r"image files whose names are no UTF-8 text: n\\udcff\.jpg; rename them"):
        read_cases(folder)


def test_one_image_id_in_two_sets_is_counted_in_the_role_of_each(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = shutil.copytree(folder, tmp_path_factory.mktemp("beside") / "other")
    (other / "table.csv").write_text((folder / "table.csv").read_text().replace(",l", ",m"))
    parts = [audit([str(f)])[0].roles for f in (folder, other)]
    both = audit([str(folder), str(other)])[0].roles
    assert both == {role: {code: n + parts[1][role][code] for code, n in parts[0][role].items()} for role in both}


def spoil_bytes(folder: Path) -> None:
    path = folder / "i03.jpg"
    path.write_bytes(path.read_bytes()[:900])


def spoil_label(folder: Path) -> None:
    shutil.copy(folder / "i00.jpg", folder / "copy.jpg")
    edited(folder, "i00,MEL", "copy,NV,l77,,clinic\ni00,MEL")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "broken file": (spoil_bytes, "1 file cannot be read"),
    "missing file": (lambda f: (f / "i03.jpg").unlink(), "1 row without an image file"),
    "image twice": (
        lambda f: edited(f, "i00,MEL,", "i00,NV,l00,,clinic\ni00,MEL,"),
        "1 image in two rows of a table",
    ),
    "unknown label": (lambda f: edited(f, "i01,NV", "i01,freckle"), "1 label that is no diagnosis"),
    "nameless row": (lambda f: edited(f, "i01,NV", ",NV"), "1 row that names no image"),
    "broken table": (lambda f: edited(f, "i01,NV,", "i01,NV,1,2,"), "1 table that cannot be read whole"),
    "conflicting labels": (lambda f: edited(f, "NV,l01", "NV,l00"), "1 lesion with different diagnoses"),
    "two patients": (
        lambda f: edited(f, "l00,,clinic\ni01,NV,l01,", "l00,p1,clinic\ni01,NV,l00,p2"),
        "1 lesion of two patients",
    ),
    "duplicate with another label": (spoil_label, "1 picture with different diagnoses"),
    "blank image": (lambda f: Image.new("RGB", (160, 120), "tan").save(f / "i03.jpg"), "1 blank image"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_grave_finding_and_the_rest_is_read(folder: Path, fault: str) -> None:
    spoil, says = FAULTS[fault]
    spoil(folder)
    found, _ = audit([str(folder)])
    finding = kinds(found)[fault]
    assert finding.gravity == "grave"
    assert says in finding.what
    assert len(finding.items) == 1
    assert finding.remedy
    assert sum(n for of in found.counts[str(folder)].values() for n in of.values()) >= 12


def test_what_the_reader_refuses_is_said_in_its_words(folder: Path) -> None:
    (folder / "i03.jpg").unlink()
    found, _ = audit([str(folder)])
    with pytest.raises(InputError) as refused:
        read_cases(folder)
    assert kinds(found)["refused"].items == (str(refused.value),)
    assert kinds(found)["missing file"].items == ("i03",)


def test_folders_of_classes_with_a_strange_one(tmp_path: Path) -> None:
    for n, name in enumerate(("MEL", "nevus", "holiday")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"i{n}.png").write_bytes(draw(n, size=(128, 128)).jpeg())
    found, _ = audit([str(tmp_path)])
    assert kinds(found)["unknown label"].items == ("i2: 'holiday'",)
    assert (
        kinds(found)["wrong type"].items[0].endswith("i1.png holds JPEG") or len(kinds(found)["wrong type"].items) == 3
    )
    assert found.counts[str(tmp_path)] == {str(tmp_path): {"MEL": 1, "NV": 1, "no label": 1}}


def test_odd_sizes_small_images_and_foreign_files(folder: Path) -> None:
    (folder / "i05.jpg").write_bytes(draw(5, size=(320, 240)).jpeg())
    (folder / "i06.jpg").write_bytes(draw(6, size=(96, 72)).jpeg())
    (folder / "more.heic").write_bytes(b"x")
    found = kinds(audit([str(folder)])[0])
    assert found["odd size"].items == ("i05.jpg: 320 x 240", "i06.jpg: 96 x 72")
    assert len(found["small image"].items) == 1
    assert "1 .heic" in found["foreign file"].what


def test_duplicates_leak_across_roles_until_a_split_joins_them(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pixels = np.array(Image.open(folder / "i00.jpg"))
    rows = [f"d{n},MEL,d{n},,clinic" for n in range(8)]
    for n in range(8):
        (folder / f"d{n}.jpg").write_bytes(encode(np.rot90(pixels, n).copy(), 60 + 4 * n))
    edited(folder, "i00,MEL", "\n".join([*rows, "i00,MEL"]))
    found, _ = audit([str(folder)])
    leak = kinds(found)["duplicate in two roles"]
    assert leak.gravity == "grave"
    assert len(leak.groups) == 1
    assert {m.image for m in leak.groups[0]} == {"i00", *(f"d{n}" for n in range(8))}
    out = tmp_path_factory.mktemp("split") / "split.csv"
    made, joined, unread = make_split(read_cases(folder), out)
    assert (joined, unread) == (1, ())
    assert len({made.group(f"d{n}") for n in range(8)} | {made.group("i00")}) == 1
    assert make_split(read_cases(folder), out)[0].sha256 == made.sha256
    assert not audit([str(folder)], read_split(out))[0].of("grave")


def test_patients_on_two_sides_and_images_without_role(folder: Path) -> None:
    edited(folder, "l00,,", "l00,p1,")
    edited(folder, "l03,,", "l03,p1,")
    roles = {f"i{n:02d}": (f"g{n}", "test" if n == 3 else "training") for n in range(11)}
    found = kinds(audit([str(folder)], Split(roles, "abc"))[0])  # type: ignore[arg-type]
    assert found["patient in two roles"].items[0].startswith("i00 (MEL, lesion l00, patient p1, training) = i03")
    assert found["no role"].items == ("i11",)


def test_duplicates_between_sets_are_found_when_both_are_given(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copy(folder / "i00.jpg", other / "mine.jpg")
    found = kinds(audit([str(folder), str(other)])[0])
    assert len(found["duplicate across sets"].items) == 1
    with pytest.raises(InputError, match="no data set and no path 'nowhere'"):
        audit(["nowhere"])


def test_facts_of_a_file(tmp_path: Path) -> None:
    drawn = draw(4, "NV", (200, 150))
    path = tmp_path / "a.jpg"
    path.write_bytes(drawn.jpeg(80))
    facts = facts_of(path)
    assert (facts.width, facts.height, facts.format, facts.problem) == (200, 150, "JPEG", "")
    assert facts.small is not None
    assert quantisation_tables(path.read_bytes())
    assert facts.tables == facts_of(path).tables != ""
    path.write_bytes(drawn.jpeg(60))
    assert facts_of(path).tables != facts.tables
    blurred = np.array(Image.fromarray(drawn.pixels).resize((40, 30)).resize((200, 150)))
    Image.fromarray(blurred).save(path, quality=95)
    assert facts_of(path).sharpness < facts.sharpness
    assert "no such file" in facts_of(tmp_path / "none.jpg").problem


@needs_data
def test_the_roles_of_ham10000_hold_but_for_lesions_that_have_two_ids() -> None:
    """Two pairs of HAM10000 are one photograph under two lesion ids, and one pair the same lesion taken again."""
    from dermoscope.data.catalog import load
    from dermoscope.data.evidence import links_between
    from dermoscope.data.properties import read_facts

    cases = load("ham10000").cases
    known = {"ISIC_0030074", "ISIC_0025226", "ISIC_0034228", "ISIC_0034248", "ISIC_0025141", "ISIC_0025323"}
    rng = np.random.default_rng(0)
    several = {c.lesion_id for c in cases}.difference(rng.permutation(sorted({c.group for c in cases}))[:6500])
    some = [c for c in cases if c.lesion_id in several or c.image_id in known]
    facts = {f.path: f for f in read_facts([c.path for c in some if c.path])}
    apart = [k for k in links_between(some, facts) if some[k.first].lesion_id != some[k.second].lesion_id]
    assert {some[k.first].image_id for k in apart} | {some[k.second].image_id for k in apart} == known
