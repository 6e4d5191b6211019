"""Sets combined: what is dropped and why, groups, roles, terms; written whole or not at all; trained on."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dermoscope.core.errors import InputError, TableError
from dermoscope.data.catalog import open_cases
from dermoscope.data.combine import Combined, combine
from dermoscope.data.splits import check_split, read_split, role_of
from dermoscope.data.synthetic import draw

Cli = Callable[..., Any]
FILES = {"cases.csv", "split.csv", "dropped.csv", "table.csv", "licences.md", "combined.json"}


def picture(seed: int, code: str = "NV", size: tuple[int, int] = (160, 120), scale: float = 1.0) -> bytes:
    """A drawn lesion as PNG, scaled."""
    image = Image.fromarray(draw(seed, code, size).pixels)
    out = io.BytesIO()
    image.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.LANCZOS).save(out, "PNG")
    return out.getvalue()


def folder(path: Path, rows: Mapping[str, tuple[str, str, bytes]]) -> Path:
    """A set: id -> (diagnosis, lesion, picture)."""
    path.mkdir(parents=True)
    for name, (_, _, data) in rows.items():
        (path / f"{name}.png").write_bytes(data)
    lines = ["image,diagnosis,lesion_id", *(f"{name},{dx},{lesion}" for name, (dx, lesion, _) in rows.items())]
    (path / "cases.csv").write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two sets that share pictures in every way."""
    root, drawn = tmp_path_factory.mktemp("sets"), {n: picture(n, "MEL" if n == 4 else "NV") for n in range(1, 9)}
    first = folder(
        root / "first",
        {
            "ISIC_0000001": ("NV", "L1", drawn[1]),
            "a2": ("NV", "L2", drawn[2]),
            "a3": ("NV", "L3", drawn[3]),
            "a4": ("MEL", "L4", drawn[4]),
            "a5": ("NV", "5", drawn[5]),
            "a6": ("UNK", "L6", drawn[6]),
        },
    )
    second = folder(
        root / "second",
        {
            "ISIC_0000001_downsampled": ("NV", "M1", picture(1, scale=0.5)),
            "b2": ("NV", "M2", drawn[2]),
            "b3": ("NV", "M3", picture(3, scale=1.5)),
            "b4": ("NV", "M4", drawn[4]),
            "a5": ("NV", "5", drawn[7]),
            "b8": ("BCC", "M8", drawn[8]),
        },
    )
    return first, second


@pytest.fixture(scope="module")
def made(two: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Combined, Path]:
    out = tmp_path_factory.mktemp("out") / "both"
    return combine([str(p) for p in two], out), out


def test_each_drop_is_listed_with_its_reason_and_what_is_kept(made: tuple[Combined, Path]) -> None:
    dropped = {d.image: (Path(d.set).name, d.reason, d.instead.split(": ")[-1]) for d in made[0].dropped}
    assert dropped == {
        "ISIC_0000001_downsampled": ("second", "same id, 19,200 px instead of 4,800", "ISIC_0000001"),
        "b2": ("second", "same file", "a2"),
        "a3": ("first", "same picture, 43,200 px instead of 19,200", "b3"),
        "a4": ("first", dropped["a4"][1], ""),
        "b4": ("second", dropped["a4"][1], ""),
    }
    assert dropped["a4"][1].startswith("copies have different labels: MEL in /")
    listed = list(csv.DictReader((made[1] / "dropped.csv").read_text().splitlines()))
    assert [row["image"] for row in listed] == [d.image for d in made[0].dropped]


def test_what_is_kept_keeps_its_words_and_gets_its_group(made: tuple[Combined, Path], two: tuple[Path, Path]) -> None:
    found, out = made
    cases, said = open_cases(str(out))
    assert cases.ids == ("ISIC_0000001", "a2", "first-a5", "a6", "b3", "second-a5", "b8")
    by_id = {c.image_id: c for c in cases}
    assert by_id["b3"].path == two[1] / "b3.png"
    assert by_id["first-a5"].group == "first/5"
    assert by_id["second-a5"].group == "second/5"
    assert (by_id["a6"].diagnosis, by_id["a6"].diagnosis_original) == (None, "UNK")
    assert {c.source for c in cases} == {"first", "second"}
    assert tuple(cases) == tuple(found.whole)
    assert said["name"] == "first + second"


@pytest.mark.parametrize(
    ("image", "lesions"), [("ISIC_0000001", ("L1", "M1")), ("a2", ("L2", "M2")), ("b3", ("L3", "M3"))]
)
def test_a_merged_group_is_called_by_the_role_that_is_kept_back_most(
    image: str, lesions: tuple[str, str], made: tuple[Combined, Path]
) -> None:
    group = next(c.group for c in made[0].whole if c.image_id == image)
    order = ("test", "validation", "calibration", "training")
    assert group in lesions
    assert order.index(role_of(group)) == min(order.index(role_of(lesion)) for lesion in lesions)


def test_split_table_and_licences_say_the_same(made: tuple[Combined, Path]) -> None:
    found, out = made
    assert {p.name for p in out.iterdir()} == FILES
    split = read_split(out / "split.csv")
    check_split(found.whole, split)
    assert all(split.role(c.image_id) == role_of(c.group) for c in found.whole)
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [(r["source"], r["NV"], r["BCC"], r["UNK"], r["all"]) for r in rows] == [
        ("first", "3", "0", "1", "4"),
        ("second", "2", "1", "0", "3"),
        ("all", "5", "1", "1", "7"),
    ]
    assert "have terms not known here" in (out / "licences.md").read_text()


def test_again_gives_the_same_bytes_and_another_choice_replaces_them(two: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"

    def left(*sets: Path) -> dict[str, bytes]:
        combine([str(p) for p in sets], out)
        return {p.name: p.read_bytes() for p in out.iterdir()}

    first = left(*two)
    stamp = (out / "cases.csv").stat().st_mtime_ns
    assert left(*two) == first
    assert (out / "cases.csv").stat().st_mtime_ns == stamp
    assert left(two[0])["cases.csv"] != first["cases.csv"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HIBA (free, dermoscopic), MED-NODE (clinical, terms unknown) and PH2 (not commercial), drawn."""
    root = tmp_path / "data"
    for n, name in enumerate(("hiba/ISIC_11", "hiba/ISIC_12", "mednode/melanoma/21", "mednode/naevus/22",
                              "ph2/PH2 Dataset images/IMD031", "ph2/PH2 Dataset images/IMD032")):  # fmt: skip
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(20 + n))
    (root / "hiba/metadata.csv").write_text(
        "isic_id,diagnosis_3,image_type,patient_id,lesion_id\nISIC_11,Nevus,dermoscopic,IP_1,IL_1\n"
        "ISIC_12,Basal cell carcinoma,dermoscopic,IP_1,IL_2\n"
    )
    (root / "ph2/PH2_dataset.txt").write_text("|| IMD031 ||  ||  0 || x ||\n|| IMD032 || Melanoma || 2 || x ||\n")
    monkeypatch.setenv("DERMOSCOPE_DATA", str(root))
    return root


@pytest.mark.usefixtures("catalog")
def test_terms_and_kinds_choose_the_sets(tmp_path: Path, dermoscope: Cli) -> None:
    names, out = ("hiba", "mednode", "ph2"), tmp_path / "out"
    said = json.loads(dermoscope("data", "combine", *names, "--out", out, "--commercial-ok", "--json").out)
    assert said["left_out"] == {
        "mednode": "its licence is not known to allow commercial use",
        "ph2": "its licence allows no commercial use",
    }
    assert said["images"] == 2
    assert "The licences allow commercial use." in (out / "licences.md").read_text()
    said = dermoscope("data", "combine", *names, "--out", out, "--dermoscopic-only")
    assert said.code == 0
    assert said.out.startswith(
        "left out: mednode: its images are clinical photographs\n4 images in 3 groups, of hiba, ph2"
    )
    assert "No commercial use: not allowed by ph2." in said.out
    assert open_cases(str(out))[0].holds == {"ph2": frozenset({"MEL", "NV"})}
    said = dermoscope("data", "combine", "mednode", "ph2", "--out", out, "--commercial-ok")
    assert said.code == 2
    assert "no set is left: mednode: its licence is not known" in said.err


@pytest.mark.usefixtures("catalog")
def test_lesions_of_one_patient_are_one_group(tmp_path: Path) -> None:
    found = combine(["hiba"], tmp_path / "out")
    assert {c.group for c in found.whole} <= {"IL_1", "IL_2"}
    assert len({c.group for c in found.whole}) == 1
    assert [row.lesion for row in found.rows] == ["IL_1", "IL_2"]


def test_what_cannot_be_combined_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    seven = folder(tmp_path / "seven", {"X": ("AKIEC", "S1", picture(30))})
    with pytest.raises(
        InputError, match=r"several taxonomies cannot be combined: .*first in isic2019, .*seven in isic2018"
    ):
        combine([str(two[0]), str(seven)], tmp_path / "out")
    with pytest.raises(InputError, match="seven: exists and is no combination of data sets; name a new folder"):
        combine([str(two[0])], seven)
    assert (seven / "X.png").exists()


def test_a_broken_file_is_dropped_and_one_that_went_is_named(tmp_path: Path) -> None:
    own = folder(tmp_path / "own", {"A": ("NV", "S1", picture(31)), "B": ("NV", "S2", b"no picture")})
    found = combine([str(own)], tmp_path / "out")
    assert [(d.image, d.reason.split(":")[0]) for d in found.dropped] == [("B", "cannot be read")]
    (own / "A.png").unlink()
    with pytest.raises(TableError, match=r"1 images are gone: .*A\.png; repeat `dermoscope data combine`"):
        open_cases(str(tmp_path / "out"))
    (tmp_path / "out/combined.json").write_text("{}")
    with pytest.raises(TableError, match=r"combined\.json: not what `dermoscope data combine` writes"):
        open_cases(str(tmp_path / "out"))


CHILD = """
import pathlib, sys, time
from dermoscope.data import combined
from dermoscope.data.combine import combine
slow = pathlib.Path.write_bytes
def write_bytes(path, data):
    print("writing", flush=True)
    time.sleep(0.5)
    return slow(path, data)
pathlib.Path.write_bytes = write_bytes
combine([sys.argv[1]], pathlib.Path(sys.argv[2]))
"""


def test_a_kill_while_writing_leaves_the_earlier_combination(two: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    combine([str(two[0])], out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    command = [sys.executable, "-c", CHILD, str(two[1]), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) as child:
        assert child.stdout is not None
        for _ in range(3):
            assert child.stdout.readline() == b"writing\n"
        time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert len(list(tmp_path.iterdir())) == 2, "what the killed run had begun"
    combine([str(two[1])], out)
    assert (out / "cases.csv").read_bytes() != before["cases.csv"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_combination_is_trained_on(
    synthetic: Path, two: tuple[Path, Path], quick_recipe: Any, tmp_path: Path
) -> None:
    import torch

    from dermoscope.train.run import Job, train

    torch.set_num_threads(1)
    combine([str(synthetic), str(two[1])], tmp_path / "both")
    cases, said = open_cases(str(tmp_path / "both"))
    bundle = train(Job(quick_recipe, cases, tmp_path / "run", tmp_path / "cache", data_use=said))
    assert bundle.card.data[0].name == "data + second"
    assert bundle.card.licence == "not stated"
