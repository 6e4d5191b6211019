"""A data set in its published layout, from a server on loopback to the folder of data sets."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermoscope.core.errors import DownloadError, InputError
from dermoscope.core.taxonomy import ISIC2018, ISIC2019
from dermoscope.data import catalog, fetch, sets
from dermoscope.data.acquire import acquire, missing_bytes, settled
from dermoscope.data.dataset import DataSet
from dermoscope.data.leftovers import leftovers
from dermoscope.data.sets import CATALOG
from dermoscope.data.synthetic import draw

IDS = {f"ISIC_{24306 + k:07d}": code for k, code in enumerate([*ISIC2019.codes, "NV", "NV"])}
MERGED = {image: {"AK": "AKIEC", "SCC": "AKIEC"}.get(code, code) for image, code in IDS.items()}
GROUPS = "2018/ISIC2018_Task3_Training_LesionGroupings.csv"
TRUTH, INPUT = "2018/ISIC2018_Task3_Training_GroundTruth.zip", "2018/ISIC2018_Task3_Training_Input.zip"


def quiet(*_: object) -> None:
    pass


def one_hot(codes: tuple[str, ...], labels: dict[str, str]) -> str:
    rows = [",".join([image, *(f"{float(code == c):.1f}" for c in codes)]) for image, code in labels.items()]
    return "\r\n".join([",".join(["image", *codes]), *rows, ""])


def packed(files: dict[str, bytes | str], how: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2018, 6, 1, 0, 0, 0)), data, compress_type=how)
    return out.getvalue()


def published(pictures: dict[str, bytes]) -> dict[str, bytes]:
    """The files of the challenges of 2018 and 2019 as they are published, of ten drawn lesions."""
    terms = {"ATTRIBUTION.txt": "drawn", "LICENSE.txt": "CC0"}
    groups = [f"{image},HAM_{k // 2:07d},histopathology" for k, image in enumerate(IDS)]
    about = [f"{image},{30 + k},anterior torso,HAM_{k // 2:07d},female" for k, image in enumerate(IDS)]
    truth = one_hot((*ISIC2019.codes, "UNK"), IDS).encode()

    def folder(name: str, files: dict[str, bytes | str]) -> bytes:
        return packed({f"{name}/": b"", **{f"{name}/{file}": data for file, data in files.items()}})

    return {
        GROUPS: "\r\n".join(["image,lesion_id,diagnosis_confirm_type", *groups, ""]).encode(),
        INPUT: folder("ISIC2018_Task3_Training_Input", {**pictures, **terms}),
        TRUTH: folder(
            "ISIC2018_Task3_Training_GroundTruth",
            {"ISIC2018_Task3_Training_GroundTruth.csv": one_hot(ISIC2018.codes, MERGED), **terms},
        ),
        "2019/ISIC_2019_Training_GroundTruth.csv": truth,
        "2019/ISIC_2019_Training_Metadata.csv": "\r\n".join(
            ["image,age_approx,anatom_site_general,lesion_id,sex", *about, ""]
        ).encode(),
        "2019/ISIC_2019_Training_Input.zip": folder("ISIC_2019_Training_Input", {**pictures, **terms}),
    }


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    return {f"{image}.jpg": draw(k, code, (120, 90)).jpeg() for k, (image, code) in enumerate(IDS.items())}


def small(entry: DataSet, files: dict[str, bytes]) -> DataSet:
    """The catalog's entry with the sizes and checksums of the served files."""
    served = [replace(d, size=len(files[d.path]), digest=f"sha256:{sha(files[d.path])}") for d in entry.downloads]
    return replace(entry, downloads=tuple(served), images=len(IDS))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server(bucket: Any, pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The bucket, serving ten lesions; the catalog knows their checksums and no data set is here."""
    bucket.files = published(pictures)
    names = ("ham10000", "isic2018", "isic2019")
    entries = {name: small(CATALOG[name], bucket.files) for name in names} | {"isic2017": CATALOG["isic2017"]}
    for module in (sets, catalog):
        monkeypatch.setattr(module, "CATALOG", entries)
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    monkeypatch.setenv("DERMOSCOPE_CHALLENGE_URL", bucket.url + "/")
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DERMOSCOPE_DATA", raising=False)
    return bucket


@pytest.fixture
def ham(server: Any) -> DataSet:
    assert server.files
    return catalog.CATALOG["ham10000"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["ham10000", "isic2018", "isic2019"])
def test_what_is_fetched_is_what_is_read(server: Any, tmp_path: Path, name: str, pictures: dict[str, bytes]) -> None:
    entry = catalog.CATALOG[name]
    got = acquire(entry, tmp_path, quiet)
    assert [g.state for g in got] == ["fetched"] * len(entry.downloads)
    assert all(g.sha256 == sha(server.files[d.path]) for g, d in zip(got, entry.downloads, strict=True))
    cases = catalog.load(name, tmp_path)
    expected = MERGED if name == "isic2018" else IDS
    assert {c.image_id: c.diagnosis for c in cases} == expected
    assert all(c.path and c.path.read_bytes() == pictures[c.path.name] for c in cases)
    assert len(set(cases.groups)) == 5
    assert len(server.asked) == len(entry.downloads)
    assert not leftovers(tmp_path)


def test_a_second_time_nothing_is_asked_for(server: Any, ham: DataSet, tmp_path: Path) -> None:
    acquire(ham, tmp_path, quiet)
    server.asked.clear()
    assert {g.state for g in acquire(ham, tmp_path, quiet)} == {"already"}
    assert missing_bytes(ham, tmp_path) == 0
    isic2018 = acquire(catalog.CATALOG["isic2018"], tmp_path, quiet)
    assert {g.state for g in isic2018} == {"already"}
    assert server.asked == []
    assert names(tmp_path / "isic2018") == [
        "ISIC2018_Task3_Training_GroundTruth",
        "ISIC2018_Task3_Training_GroundTruth.zip.json",
        "ISIC2018_Task3_Training_Input",
        "ISIC2018_Task3_Training_Input.zip.json",
        "ISIC2018_Task3_Training_LesionGroupings.csv",
        "ISIC2018_Task3_Training_LesionGroupings.csv.json",
    ]


def test_images_that_went_missing_are_fetched_again(server: Any, ham: DataSet, tmp_path: Path) -> None:
    acquire(ham, tmp_path, quiet)
    images = tmp_path / "isic2018/ISIC2018_Task3_Training_Input"
    (images / "ISIC_0024307.jpg").unlink()
    server.asked.clear()
    acquire(ham, tmp_path, quiet)
    assert server.asked == [(INPUT, "")]
    assert len(list(images.glob("*.jpg"))) == len(IDS)


def test_a_table_that_was_changed_is_not_overwritten(ham: DataSet, tmp_path: Path) -> None:
    acquire(ham, tmp_path, quiet)
    table = tmp_path / "isic2019/ISIC_2019_Training_Metadata.csv"
    table.write_text("mine")
    with pytest.raises(
        InputError, match=r"Metadata\.csv: changed since it was fetched on 20.*; move it away and repeat"
    ):
        acquire(ham, tmp_path, quiet)
    assert table.read_text() == "mine"


def test_what_somebody_else_put_there_is_left_alone(server: Any, ham: DataSet, tmp_path: Path) -> None:
    for download in ham.downloads[:3]:
        (tmp_path / download.into).parent.mkdir(exist_ok=True)
        (tmp_path / download.into).write_bytes(server.files[download.path])
    archive = tmp_path / "isic2018/ISIC2018_Task3_Training_Input.zip"
    archive.write_bytes(server.files[INPUT])
    got = {g.file: g.state for g in acquire(ham, tmp_path, quiet)}
    assert server.asked == [(TRUTH, "")]
    assert list(got.values()) == ["kept", "kept", "kept", "fetched", "unpacked"]
    assert archive.exists()
    assert len(catalog.load("ham10000", tmp_path)) == len(IDS)


def test_an_archive_that_is_not_the_published_one(ham: DataSet, tmp_path: Path) -> None:
    archive = tmp_path / "isic2018/ISIC2018_Task3_Training_Input.zip"
    archive.parent.mkdir()
    archive.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"Input\.zip: is not the published file \(size or checksum differ\); move it"):
        acquire(ham, tmp_path, quiet)
    with pytest.raises(
        InputError, match=r"not a whole ZIP archive .*; move it away and repeat the command to fetch it"
    ):
        acquire(ham, tmp_path, quiet, accept_changed=True)
    assert archive.read_bytes() == b"something else"


def test_a_whole_set_of_ones_own_needs_nothing(server: Any, ham: DataSet, tmp_path: Path) -> None:
    acquire(ham, tmp_path, quiet)
    assert not settled(ham, tmp_path)
    for receipt in tmp_path.rglob("*.json"):
        receipt.unlink()
    assert settled(ham, tmp_path)
    server.asked.clear()
    assert acquire(ham, tmp_path, quiet) == ()
    assert server.asked == []


def test_a_broken_archive_is_removed_and_fetched_again(server: Any, ham: DataSet, tmp_path: Path) -> None:
    sound = server.files[INPUT]
    broken = bytearray(sound)
    broken[sound.index(b"\xff\xd8") + 300] ^= 1
    server.files[INPUT] = bytes(broken)
    with pytest.raises(DownloadError, match="is not the file that is known: its sha256"):
        acquire(ham, tmp_path, quiet)
    with pytest.raises(DownloadError, match=r"Bad CRC-32 for file '.*jpg'\); the archive was removed: repeat the"):
        acquire(ham, tmp_path, quiet, accept_changed=True)
    assert not (tmp_path / "isic2018/ISIC2018_Task3_Training_Input").exists()
    server.files[INPUT] = sound
    acquire(ham, tmp_path, quiet, accept_changed=True)
    assert len(catalog.load("ham10000", tmp_path)) == len(IDS)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (packed({"../evil.jpg": b"evil"}), "a path that leads outside"),
        (packed({"/evil.jpg": b"evil"}), "an absolute path"),
        (
            packed({"zeros.jpg": bytes(65_000_000)}, zipfile.ZIP_DEFLATED),
            r"65,000,000 bytes in all, at most 1,\d\d\d of",
        ),
        (packed({"a.jpg": b"1" * 1000})[:-30], "not a whole ZIP archive"),
    ],
    ids=["outside", "absolute", "bomb", "truncated"],
)
def test_a_hostile_archive_leaves_nothing(server: Any, ham: DataSet, tmp_path: Path, data: bytes, why: str) -> None:
    server.files[INPUT] = data
    with pytest.raises(DownloadError, match=rf"Input\.zip: .*{why}.*; the archive was removed"):
        acquire(ham, tmp_path / "root", quiet, accept_changed=True)
    assert not list(tmp_path.rglob("*evil*"))
    assert not list((tmp_path / "root").rglob("*.jpg"))
    assert not leftovers(tmp_path / "root")


def test_leftovers_of_killed_runs_are_swept(ham: DataSet, tmp_path: Path) -> None:
    stale = tmp_path / "isic2018/.ISIC2018_Task3_Training_Input.unpacking"
    stale.mkdir(parents=True)
    (stale / "half.jpg").write_bytes(b"half")
    browsers = tmp_path / "isic2018/Another.zip.part"
    browsers.write_bytes(b"somebody's own transfer")
    acquire(ham, tmp_path, quiet)
    assert not leftovers(tmp_path)
    assert browsers.exists()


def test_files_that_were_added_cost_no_second_transfer(server: Any, ham: DataSet, tmp_path: Path) -> None:
    acquire(ham, tmp_path, quiet)
    own = [tmp_path / "isic2018/ISIC2018_Task3_Training_Input" / name for name in (".DS_Store", "notes.txt")]
    for path in own:
        path.write_text("not from the archive")
    server.asked.clear()
    assert {g.state for g in acquire(ham, tmp_path, quiet)} == {"already"}
    assert not server.asked
    assert all(path.exists() for path in own)


def test_an_archive_that_outlived_its_unpacking_is_removed(server: Any, ham: DataSet, tmp_path: Path) -> None:
    acquire(ham, tmp_path, quiet)
    archive = tmp_path / "isic2018/ISIC2018_Task3_Training_Input.zip"
    archive.write_bytes(server.files[INPUT])
    assert {g.state for g in acquire(ham, tmp_path, quiet)} == {"already"}
    assert not archive.exists()


def test_a_disk_without_room_for_the_set(ham: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**6})())
    with pytest.raises(
        InputError, match=r"fetching ISIC_2019_Training_GroundTruth\.csv needs .* and 67 MB to spare, the disk has 1 MB"
    ):
        acquire(ham, tmp_path, quiet)


def test_a_set_that_no_command_fetches(ham: DataSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data set ham10000 cannot be fetched by a command: form"):
        acquire(replace(ham, downloads=(), access="form"), tmp_path, quiet)


CHILD = """
import pathlib, sys
from dermoscope.data.acquire import acquire
from dermoscope.data.sets import CATALOG
acquire(CATALOG["isic2018"], pathlib.Path(sys.argv[1]), lambda *p: print(*p, flush=True), accept_changed=True)
"""


def test_a_transfer_that_was_killed_goes_on(server: Any, tmp_path: Path, pictures: dict[str, bytes]) -> None:
    padded = {**pictures, "LICENSE.txt": os.urandom(3_000_000)}
    server.files[INPUT] = packed({f"ISIC2018_Task3_Training_Input/{n}": data for n, data in padded.items()})
    server.pause = 0.02
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    part = tmp_path / "isic2018/ISIC2018_Task3_Training_Input.zip.part"
    for kill in range(2):
        before = part.stat().st_size if part.exists() else 0
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
            deadline = time.monotonic() + 60
            while not (part.exists() and part.stat().st_size > before + 200_000):
                assert child.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
        assert before < part.stat().st_size < len(server.files[INPUT]), kill
    server.pause = 0.0
    kept = part.stat().st_size
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    asked = [wanted for path, wanted in server.asked if path == INPUT]
    assert len(asked) == 3
    assert asked[0] == ""
    assert asked[2] == f"bytes={kept}-"
    assert len(list((tmp_path / "isic2018/ISIC2018_Task3_Training_Input").glob("*.jpg"))) == len(IDS)
    assert [path for path, _ in server.asked].count(GROUPS) == 1
    assert not leftovers(tmp_path)
