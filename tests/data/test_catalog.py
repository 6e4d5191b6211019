"""Public data sets: the catalog's statements, loading a small copy of each layout, and the real files."""

import csv
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermoscope.core.errors import InputError, TableError
from dermoscope.core.taxonomy import ISIC2018, ISIC2019
from dermoscope.data.catalog import CATALOG, data_root, load
from dermoscope.data.sets_isic import HAM10000
from dermoscope.data.tables import KNOWN_COLUMNS

DATA = os.environ.get("DERMOSCOPE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="DERMOSCOPE_DATA is not set: no public data set to load")

TRUTH = """image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK
ISIC_0000001_downsampled,0,1,0,0,0,0,0,0,0
ISIC_0000002,1,0,0,0,0,0,0,0,0
ISIC_0024306,0,1,0,0,0,0,0,0,0
ISIC_0024307,0,0,0,0,0,0,0,1,0
"""
METADATA = """image,age_approx,anatom_site_general,lesion_id,sex
ISIC_0000001_downsampled,55.0,anterior torso,,female
ISIC_0000002,,,MSK4_0000002,
ISIC_0024306,45.0,,HAM_0000550,male
ISIC_0024307,50.0,lower extremity,HAM_0003577,male
"""
HAM = """lesion_id,image_id,dx,dx_type,age,sex,localization,dataset
HAM_0003577,ISIC_0024307,akiec,histo,50.0,male,lower extremity,rosendahl
HAM_0000550,ISIC_0024306,nv,follow_up,45.0,male,unknown,vidir_molemax
"""


def picture(path: Path, size: tuple[int, int] = (32, 24)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = np.random.default_rng(len(path.name)).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(shade).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folders of the catalog with two HAM10000 lesions and three images of ISIC 2017, one of them unlabelled."""
    for name, text in {
        "isic2019/ISIC_2019_Training_GroundTruth.csv": TRUTH,
        "isic2019/ISIC_2019_Training_Metadata.csv": METADATA,
        "ham10000/HAM10000_metadata.csv": HAM,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    picture(tmp_path / "ham10000/images/ISIC_0024306.jpg", (40, 30))
    picture(tmp_path / "ham10000/images/ISIC_0024307.jpg", (40, 30))
    picture(tmp_path / "ham10000/masks/ISIC_0024307_segmentation.png", (40, 30))
    picture(tmp_path / "ham10000-224/images/ISIC_0024307.jpg", (24, 24))
    for stem in ("ISIC_0000001", "ISIC_0000002", "ISIC_0000003"):
        picture(tmp_path / f"isic2017/images/{stem}.jpg")
    return tmp_path


def test_every_entry_states_licence_citation_and_where_it_was_read() -> None:
    for name, entry in CATALOG.items():
        assert entry.name == name
        assert entry.licence
        assert entry.citation
        assert {"columns", "images", "licence", "citation"} <= entry.read_at.keys()
        assert bool(entry.downloads) <= ("downloads" in entry.read_at)
        assert bool(entry.lesions) <= ("lesions" in entry.read_at)
        assert bool(entry.patients) <= ("patients" in entry.read_at)
        assert entry.reader_ran
        assert entry.address.startswith("http")
        assert entry.kind in {"dermoscopic", "clinical", "mixed"}
        for layout in entry.layouts:
            assert layout.columns.keys() <= KNOWN_COLUMNS.keys()
            assert layout.optional <= set(layout.folders)
        assert all(code in entry.taxonomy for codes in entry.holds.values() for code in codes)


def test_what_is_fetched_is_a_layout_and_every_checksum_says_where_it_was_read() -> None:
    for entry in (e for e in CATALOG.values() if e.downloads):
        brought = {d.into for d in entry.downloads}
        last = entry.layouts[-1]
        for needed in (*last.folders, last.truth, *last.tables):
            assert any(b == needed or b.startswith(needed + "/") or needed.startswith(b + "/") for b in brought)
        for download in entry.downloads:
            assert download.path.split("/")[0] in {"2017", "2018", "2019"}
            assert bool(download.size or download.digest) == bool(download.read_at)
            assert download.size is None or abs(download.size / download.roughly - 1) < 0.35


def test_the_reserved_test_set_cannot_be_fetched() -> None:
    paths = [d.path for entry in CATALOG.values() for d in entry.downloads]
    assert not [p for p in paths if p.startswith("2018/") and "Test" in p]


def test_ham10000_joins_two_sizes_and_eight_classes(root: Path) -> None:
    cases = load("ham10000", root)
    assert cases.taxonomy is ISIC2019
    assert cases.ids == ("ISIC_0024307", "ISIC_0024306")
    scc, nevus = cases
    assert (scc.diagnosis, scc.diagnosis_original, scc.lesion_id) == ("SCC", "akiec", "HAM_0003577")
    assert (scc.age, scc.sex, scc.site) == (50.0, "male", "lower extremity")
    assert (scc.source, scc.confirmed_by) == ("rosendahl", "histo")
    assert scc.licence is not None
    assert scc.licence.startswith("CC BY-NC")
    assert scc.path == root / "ham10000-224/images/ISIC_0024307.jpg"
    assert scc.copies == (root / "ham10000/images/ISIC_0024307.jpg",)
    assert (nevus.diagnosis, nevus.copies, nevus.site) == ("NV", (), None)


def test_ham10000_as_published_without_the_sharper_copies(root: Path) -> None:
    for copy in (root / "ham10000-224").rglob("*.jpg"):
        copy.unlink()
    (root / "ham10000-224/images").rmdir()
    (root / "ham10000-224").rmdir()
    (root / "ham10000/images").rename(root / "ham10000/HAM10000_images_part_1")
    assert {c.path.parent.name for c in load("ham10000", root) if c.path} == {"HAM10000_images_part_1"}


def test_isic2017_takes_the_labelled_images_that_are_here(root: Path) -> None:
    cases = load("isic2017", root)
    assert cases.ids == ("ISIC_0000001", "ISIC_0000002")
    assert [c.diagnosis for c in cases] == ["NV", "MEL"]
    assert [c.lesion_id for c in cases] == [None, "MSK4_0000002"]
    assert {c.source for c in cases} == {"isic2017"}
    assert cases.holds == {"isic2017": frozenset({"MEL", "NV", "BKL"})}


def test_isic2019_wants_all_its_images(root: Path) -> None:
    with pytest.raises(TableError, match=r"GroundTruth\.csv: no image for 4 of 4 rows: ISIC_0000001"):
        load("isic2019", root)
    for stem in ("ISIC_0000001_downsampled", "ISIC_0000002", "ISIC_0024306", "ISIC_0024307"):
        picture(root / f"isic2019/ISIC_2019_Training_Input/{stem}.jpg")
    cases = load("isic2019", root)
    assert cases.ids[0] == "ISIC_0000001_downsampled"
    assert [c.diagnosis for c in cases] == ["NV", "MEL", "NV", "SCC"]


def test_an_image_of_ham10000_without_a_label_is_named(root: Path) -> None:
    truth = root / "isic2019/ISIC_2019_Training_GroundTruth.csv"
    truth.write_text("\n".join(line for line in TRUTH.splitlines() if "0024306" not in line))
    with pytest.raises(TableError, match=r"GroundTruth\.csv: no label for ISIC_0024306; give the truth file"):
        load("ham10000", root)


def test_what_is_missing_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError, match="no data set 'ham' in the catalog; it has ham10000, isic2018, isic2019, isic2017"
    ):
        load("ham", root)
    (root / "isic2019/ISIC_2019_Training_GroundTruth.csv").unlink()
    with pytest.raises(
        InputError, match=r"data set ham10000: .*GroundTruth\.csv missing; get it with `dermoscope data get"
    ):
        load("ham10000", root)
    monkeypatch.delenv("DERMOSCOPE_DATA", raising=False)
    monkeypatch.setenv("DERMOSCOPE_HOME", str(root / "home"))
    with pytest.raises(InputError, match=r"`dermoscope data get NAME` fetches one \(ham.*set DERMOSCOPE_DATA to the"):
        load("ham10000")
    monkeypatch.setenv("DERMOSCOPE_DATA", str(root / "nowhere"))
    with pytest.raises(InputError, match=r"nowhere: not a folder; set DERMOSCOPE_DATA"):
        load("ham10000")


def test_the_root_comes_from_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMOSCOPE_DATA", str(root))
    assert data_root() == root
    assert len(load("isic2017")) == 2


def test_without_it_data_sets_lie_in_the_state_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DERMOSCOPE_DATA", raising=False)
    monkeypatch.setenv("DERMOSCOPE_HOME", str(root.parent))
    root.rename(root.parent / "data")
    assert data_root() == root.parent / "data"
    assert len(load("isic2017")) == 2


@pytest.fixture
def challenge(root: Path) -> Path:
    """The two images of HAM10000 as the challenges publish them, without the owner's table."""
    (root / "ham10000/HAM10000_metadata.csv").unlink()
    folder = root / "isic2018"
    truth = folder / "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
    truth.parent.mkdir(parents=True)
    truth.write_text("image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\nISIC_0024306,0,1,0,0,0,0,0\nISIC_0024307,0,0,0,1,0,0,0\n")
    (folder / "ISIC2018_Task3_Training_LesionGroupings.csv").write_text(
        "image,lesion_id,diagnosis_confirm_type\nISIC_0024306,HAM_0000550,serial imaging showing no change\n"
        "ISIC_0024307,HAM_0003577,histopathology\n"
    )
    for stem in ("ISIC_0024306", "ISIC_0024307"):
        picture(folder / f"ISIC2018_Task3_Training_Input/{stem}.jpg", (60, 45))
    return root


def test_ham10000_from_the_tables_of_the_challenges(challenge: Path) -> None:
    nevus, scc = load("ham10000", challenge)
    assert (scc.diagnosis, scc.diagnosis_original, scc.lesion_id) == ("SCC", "akiec", "HAM_0003577")
    assert (scc.age, scc.sex, scc.site, scc.source) == (50.0, "male", "lower extremity", "ham10000")
    assert (nevus.confirmed_by, scc.confirmed_by) == ("follow_up", "histo")
    assert scc.path == challenge / "isic2018/ISIC2018_Task3_Training_Input/ISIC_0024307.jpg"
    (challenge / "isic2018/ISIC2018_Task3_Training_Input/ISIC_0024306.jpg").unlink()
    with pytest.raises(TableError, match=r"LesionGroupings\.csv: no image for 1 of 2 rows: ISIC_0024306"):
        load("ham10000", challenge)


def test_the_owners_table_beside_them_names_the_sources(challenge: Path) -> None:
    (challenge / "ham10000/HAM10000_metadata.csv").write_text(HAM)
    scc, nevus = load("ham10000", challenge)
    assert (scc.source, nevus.source) == ("rosendahl", "vidir_molemax")
    assert scc.path == challenge / "isic2018/ISIC2018_Task3_Training_Input/ISIC_0024307.jpg"
    assert len(scc.copies) == 2


def test_isic2018_has_the_seven_diagnoses_of_the_challenge(challenge: Path) -> None:
    cases = load("isic2018", challenge)
    assert cases.taxonomy is ISIC2018
    assert [c.diagnosis for c in cases] == ["NV", "AKIEC"]
    assert [c.lesion_id for c in cases] == ["HAM_0000550", "HAM_0003577"]


def test_tables_that_do_not_speak_of_the_same_images(challenge: Path) -> None:
    table = challenge / "isic2019/ISIC_2019_Training_Metadata.csv"
    table.write_text("\n".join(line for line in METADATA.splitlines() if "0024307" not in line))
    with pytest.raises(TableError, match=r"Metadata\.csv: no row for ISIC_0024307 of ISIC2018_Task3.*fetch both"):
        load("ham10000", challenge)


@needs_data
def test_the_checksums_of_the_tables_are_those_of_their_content() -> None:
    root = data_root()
    sums = {Path(d.path).name: d for entry in CATALOG.values() for d in entry.downloads}

    def published(name: str, rows: list[list[str]]) -> None:
        data = "".join(",".join(row) + "\r\n" for row in rows).encode()
        assert (len(data), f"sha256:{sha256(data).hexdigest()}") == (sums[name].size, sums[name].digest)

    def rows_of(path: str) -> list[list[str]]:
        return list(csv.reader((root / path).read_text().splitlines()))

    header, *truth = rows_of("isic2019/ISIC_2019_Training_GroundTruth.csv")
    published(
        "ISIC_2019_Training_GroundTruth.csv", [header, *([r[0], *(f"{float(x):.1f}" for x in r[1:])] for r in truth)]
    )
    header, *about = rows_of("isic2019/ISIC_2019_Training_Metadata.csv")
    published("ISIC_2019_Training_Metadata.csv", [header, *([r[0], r[1].removesuffix(".0"), *r[2:]] for r in about)])
    (words,) = HAM10000.layouts[1].words.values()
    told = {short: long for long, short in words.items()}
    _, *ham = rows_of("ham10000/HAM10000_metadata.csv")
    groups = sorted([image, lesion, told[how]] for lesion, image, _, how, *_ in ham)
    header = ["image", "lesion_id", "diagnosis_confirm_type"]
    published("ISIC2018_Task3_Training_LesionGroupings.csv", [header, *groups])


@needs_data
def test_the_real_ham10000() -> None:
    cases = load("ham10000")
    assert len(cases) == CATALOG["ham10000"].images
    assert cases.counts() == {
        "MEL": 1113, "NV": 6705, "BCC": 514, "AK": 130, "BKL": 1099, "DF": 115, "VASC": 142, "SCC": 197,
    }  # fmt: skip
    assert len(set(cases.groups)) == 7470
    assert {c.source for c in cases} == {"rosendahl", "vidir_modern", "vidir_molemax", "vienna_dias"}
    assert {c.confirmed_by for c in cases if c.diagnosis == "MEL"} == {"histo"}
    assert {c.diagnosis_original for c in cases if c.diagnosis == "SCC"} == {"akiec"}
    assert sum(len(c.copies) for c in cases) == 5984


@needs_data
def test_the_real_isic2017() -> None:
    cases = load("isic2017")
    assert len(cases) == CATALOG["isic2017"].images
    assert {k: n for k, n in cases.counts().items() if n} == {"MEL": 521, "NV": 1838, "BKL": 386}
    assert not set(cases.groups) & set(load("ham10000").groups)
