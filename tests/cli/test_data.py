"""`dermoscope data`: what is said of the data sets, and fetching one from a server on loopback."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermoscope.data import catalog, fetch, sets
from dermoscope.data.dataset import DataSet, Download, Layout
from dermoscope.data.labels import debatable
from dermoscope.data.synthetic import draw
from dermoscope.data.unpack import Unpacked

Cli = Callable[..., Any]
TRUTH = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\nISIC_1,0,1,0,0,0,0,0,0,0\n"


@pytest.fixture
def toy(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """The catalog with one more set, of one drawn image, that the server on loopback has; no data set is here."""
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("Input/ISIC_1.jpg", draw(1, "NV", (120, 90)).jpeg())
    bucket.files = {"2019/truth.csv": TRUTH.encode(), "2019/Input.zip": out.getvalue()}
    layout = Layout(("toy",), "toy/truth.csv", ("toy/truth.csv",), {"image": "image"}, lacks="nothing is known of it")
    entry = DataSet(
        name="toy",
        title="Toy: one drawn lesion",
        layouts=(layout,),
        source="toy",
        licence="CC0-1.0",
        commercial=True,
        citation="Nobody. Nothing (2026).",
        images=1,
        reader_ran="drawn images",
        downloads=(
            Download(
                "2019/truth.csv", "toy/truth.csv", len(TRUTH), digest=f"md5:{hashlib.md5(TRUTH.encode()).hexdigest()}"
            ),
            Download("2019/Input.zip", "toy/Input", 3000),
        ),
    )
    for module in (sets, catalog):
        monkeypatch.setattr(module, "CATALOG", {**catalog.CATALOG, "toy": entry})
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    monkeypatch.setenv("DERMOSCOPE_CHALLENGE_URL", bucket.url)
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DERMOSCOPE_DATA", raising=False)
    return entry


def test_get_says_the_terms_what_came_and_what_to_do_next(dermoscope: Cli, toy: DataSet, tmp_path: Path) -> None:
    said = dermoscope("data", "get", toy.name)
    root = tmp_path / "home" / "data"
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "Toy: one drawn lesion"
    assert lines[2:6] == [
        "  licence  CC0-1.0",
        "  cite     Nobody. Nothing (2026).",
        f"  into     {root}",
        "  size     3 kB as published",
    ]
    assert [line.split()[0] + " " + line.split()[-1] for line in lines[7:9]] == [
        "truth.csv fetched",
        "Input.zip fetched",
    ]
    assert lines[10:] == [
        f"1 images of 1 lesions in {root}",
        "  NV 1",
        "",
        "Note: nothing is known of it.",
        "",
        "Next:",
        "    dermoscope data audit toy",
        "    dermoscope train --recipe quick --data toy --out runs/toy",
    ]
    assert (root / "toy/Input/ISIC_1.jpg").is_file()
    assert [c.diagnosis for c in catalog.load("toy")] == ["NV"]


def test_get_into_another_folder(dermoscope: Cli, toy: DataSet, tmp_path: Path) -> None:
    said = dermoscope("data", "get", toy.name, "--root", tmp_path / "elsewhere")
    assert said.code == 0
    assert f"\nNext:\n    export DERMOSCOPE_DATA={tmp_path / 'elsewhere'}\n" in said.out


def test_get_as_json_and_a_second_time(dermoscope: Cli, bucket: Any, toy: DataSet) -> None:
    first, second = dermoscope("data", "get", toy.name, "--json"), dermoscope("data", "get", toy.name, "--json")
    assert (first.code, second.code) == (0, 0)
    said = json.loads(first.out)
    assert (said["name"], said["cases"], said["licence"], said["commercial_use"]) == ("toy", 1, "CC0-1.0", True)
    assert [f["state"] for f in said["files"]] == ["fetched", "fetched"]
    assert [f["state"] for f in json.loads(second.out)["files"]] == ["already", "already"]
    assert len(bucket.asked) == 2
    assert "already here" in dermoscope("data", "get", toy.name).out


def test_a_transfer_that_breaks_off_ends_with_one_sentence_and_goes_on(
    dermoscope: Cli, bucket: Any, toy: DataSet
) -> None:
    bucket.faults = ["", "breaks off"] + ["503"] * (fetch.TRIES + 1)
    said = dermoscope("data", "get", toy.name, "--json")
    assert (said.code, said.out) == (1, "")
    assert "of Input.zip have arrived and are kept: repeat the command and it goes on from there" in said.err
    state = {one["name"]: one["state"] for one in json.loads(dermoscope("data", "list", "--json").out)}
    assert state["toy"] == "begun"
    assert "begun: " in dermoscope("data", "list").out
    bucket.faults, bucket.asked = [], []
    assert dermoscope("data", "get", toy.name).code == 0
    ((path, wanted),) = bucket.asked
    assert path == "2019/Input.zip"
    assert wanted.startswith("bytes=")


def test_a_changed_file_is_refused_unless_it_is_wanted(dermoscope: Cli, bucket: Any, toy: DataSet) -> None:
    bucket.files["2019/truth.csv"] = TRUTH.replace("ISIC_1,0,1", "ISIC_1,0,1.0").encode()
    said = dermoscope("data", "get", toy.name)
    assert said.code == 1
    assert "truth.csv from 127.0.0.1" in said.err
    assert "is not the file that is known: its md5 is" in said.err
    assert dermoscope("data", "get", toy.name, "--accept-changed").code == 0


def test_wrong_names_end_with_2(dermoscope: Cli, toy: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    said = dermoscope("data", "get", "ham")
    assert (said.code, said.out) == (2, "")
    assert "no data set 'ham' in the catalog; it has ham10000, isic2018, isic2019, isic2017, " in said.err
    closed = {**catalog.CATALOG, "toy": replace(toy, downloads=(), access="form at example.org")}
    monkeypatch.setattr(catalog, "CATALOG", closed)
    said = dermoscope("data", "get", "toy")
    assert said.code == 2
    assert "cannot be fetched by a command: form at example.org" in said.err


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_list_is_readable_at_any_width(
    dermoscope: Cli, toy: DataSet, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert toy.name in catalog.CATALOG
    said = dermoscope("data", "list")
    assert said.code == 0
    assert max(len(line) for line in said.out.splitlines()[:-1]) <= max(columns, 120)
    for name, entry in catalog.CATALOG.items():
        assert f"\n{name}" in "\n" + said.out
        assert not entry.images or f"{entry.images:,}" in said.out
    for words in ("commercial", "not here", "dermoscopic", "data show NAME"):
        assert words in " ".join(said.out.split())
    assert ("CC BY 4.0" in said.out) == (columns >= 96)


def test_list_has_a_line_for_each_set_at_100_columns(dermoscope: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = dermoscope("data", "list").out.splitlines()
    rows = lines[1 : lines.index("")]
    assert all(any(row.startswith(name) for row in rows) for name in catalog.CATALOG)
    assert len(rows) <= len(catalog.CATALOG) + 2
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_show_says_terms_files_words_and_where_it_was_read(
    name: str, dermoscope: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    entry, said = catalog.CATALOG[name], dermoscope("data", "show", name)
    whole = " ".join(said.out.split())
    assert said.code == 0
    assert max(len(line) for line in said.out.splitlines()) <= 130
    for text in (entry.title, entry.licence, entry.citation, entry.address, *entry.read_at.values()):
        assert " ".join(text.split())[:60] in whole
    assert ("Debatable" in said.out) == any(lay.labels and debatable(lay.labels) for lay in entry.layouts)
    told = json.loads(dermoscope("data", "show", name, "--json").out)
    assert (told["name"], told["address"], told["commercial_use"]) == (name, entry.address, entry.commercial)
    assert len(told["layouts"]) == len(entry.layouts)


def test_show_names_a_debatable_word_and_an_unknown_set(dermoscope: Cli) -> None:
    out = " ".join(dermoscope("data", "show", "derm7pt").out.split())
    assert "BKL lentigo, melanosis: ISIC counts solar lentigo as benign keratosis" in out
    said = dermoscope("data", "show", "derm")
    assert (said.code, said.out) == (2, "")
    assert "no data set 'derm' in the catalog" in said.err


def test_list_as_json_says_what_is_known_and_null_for_the_rest(dermoscope: Cli, toy: DataSet, tmp_path: Path) -> None:
    dermoscope("data", "get", toy.name)
    sets = {one["name"]: one for one in json.loads(dermoscope("data", "list", "--json").out)}
    ham = sets["ham10000"]
    assert (ham["images"], ham["lesions"], ham["kind"], ham["commercial_use"]) == (10_015, 7_470, "dermoscopic", False)
    assert (ham["state"], ham["folders"], ham["command"]) == ("absent", [], "dermoscope data get ham10000")
    assert "never the original archives" in ham["reader_ran_on"]
    assert sets["isic2019"]["lesions"] is None
    assert (sets["toy"]["state"], sets["toy"]["folders"]) == ("here", [str(tmp_path / "home/data/toy")])


def test_an_empty_folder_of_images_is_not_the_set(toy: DataSet, tmp_path: Path) -> None:
    from dermoscope.data.listing import listing
    from dermoscope.data.unpack import tally

    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "truth.csv").write_text(TRUTH)
    assert listing(toy, tmp_path).state == "absent"
    assert tally(folder) == Unpacked(1, len(TRUTH))
