"""Archives: what is unpacked, and what is not."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dermoscope.core.errors import DownloadError, InputError
from dermoscope.data import fetch
from dermoscope.data import unpack as module
from dermoscope.data.unpack import Limits, Unpacked, tally, unpack

ROOMY = Limits(1000, 10**8)


def quiet(*_: object) -> None:
    pass


def packed(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=how)
    return out.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "set" / "Input.zip"


@pytest.fixture
def target(archive: Path) -> Path:
    archive.parent.mkdir()
    return archive.with_name("Input")


def refused(archive: Path, target: Path, data: bytes, why: str, limits: Limits = ROOMY) -> None:
    """The archive is refused for that reason, and nothing at all is left beside it or above."""
    archive.write_bytes(data)
    before = sorted(archive.parent.parent.rglob("*"))
    with pytest.raises(DownloadError, match=why):
        unpack(archive, target, limits, quiet)
    assert sorted(archive.parent.parent.rglob("*")) == before


@pytest.mark.parametrize("top", ["", "Input/"])
def test_the_content_becomes_the_target(archive: Path, target: Path, top: str) -> None:
    files = {f"{top}ISIC_1.jpg": b"one", f"{top}ISIC_2.jpg": b"two" * 99, f"{top}LICENSE.txt": b"CC"}
    archive.write_bytes(packed({**files, "__MACOSX/._ISIC_1.jpg": b"junk"}))
    told: list[tuple[int, int]] = []
    held = unpack(archive, target, ROOMY, lambda *p: told.append(p))
    assert sorted(p.name for p in target.iterdir()) == ["ISIC_1.jpg", "ISIC_2.jpg", "LICENSE.txt"]
    assert (target / "ISIC_2.jpg").read_bytes() == b"two" * 99
    assert (held.files, held.bytes) == (3, 302)
    assert held == tally(target)
    assert told[-1] == (302, 302)
    assert sorted(p.name for p in archive.parent.iterdir()) == ["Input", "Input.zip"]


def test_folders_inside_are_kept(archive: Path, target: Path) -> None:
    archive.write_bytes(packed({"a/x.jpg": b"1", "b/x.jpg": b"2", "b/": b""}))
    unpack(archive, target, ROOMY, quiet)
    assert {p.relative_to(target).as_posix() for p in target.rglob("*.jpg")} == {"a/x.jpg", "b/x.jpg"}


def test_an_older_folder_is_replaced_and_leftovers_go(archive: Path, target: Path) -> None:
    (target / "deep").mkdir(parents=True)
    (target / "deep" / "old.jpg").write_bytes(b"old")
    for ending in (module.UNPACKING, module.REPLACED):
        module.hidden(target, ending).mkdir()
        (module.hidden(target, ending) / "half.jpg").write_bytes(b"half")
    archive.write_bytes(packed({"new.jpg": b"new"}))
    unpack(archive, target, ROOMY, quiet)
    assert [p.name for p in target.rglob("*")] == ["new.jpg"]
    assert sorted(p.name for p in archive.parent.iterdir()) == ["Input", "Input.zip"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.jpg", "a path that leads outside"),
        ("a/../../evil.jpg", "a path that leads outside"),
        ("/etc/evil", "an absolute path"),
        ("C:/evil.jpg", "an absolute path"),
        ("..\\evil.jpg", "a backslash"),
        ("\\\\host\\share\\evil", "a backslash"),
    ],
)
def test_no_path_leads_outside(archive: Path, target: Path, name: str, why: str) -> None:
    refused(archive, target, packed({"fine.jpg": b"fine", name: b"evil"}), rf"Input\.zip: entries that may .*{why}")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_no_links_and_no_devices(archive: Path, target: Path, kind: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as content:
        info = zipfile.ZipInfo("link.jpg")
        info.external_attr = (kind | 0o777) << 16
        content.writestr(info, "/etc/passwd")
    refused(archive, target, out.getvalue(), r"'link\.jpg' \(a link, a device or another special file\)")


def test_a_bomb_is_not_unpacked(archive: Path, target: Path) -> None:
    bomb = packed({"zeros.jpg": bytes(10**7)})
    assert len(bomb) < 20_000
    limits = Limits(1000, 10**6)
    refused(archive, target, bomb, "1 entries of 10,000,000 bytes in all, at most 1,000 of 1,000,000 are", limits)
    crowd = packed({f"{n}.jpg": b"" for n in range(1001)})
    refused(archive, target, crowd, "1,001 entries of 0 bytes in all, at most 1,000 of", limits)


def test_a_bomb_that_lies_about_its_size(archive: Path, target: Path) -> None:
    bomb = packed({"zeros.jpg": bytes(10**7)})
    lying = bomb.replace(struct.pack("<I", 10**7), struct.pack("<I", 10**3))
    assert lying != bomb
    refused(archive, target, lying, r"not a whole ZIP archive \((Bad CRC-32 for file|zeros.jpg is)", Limits(9, 10**6))


def test_limits_follow_from_the_archive() -> None:
    assert Limits.of(2_771_732_744, 10_015) == Limits(41_060, 11_086_930_976)
    assert Limits.of(36_000, 10_015).bytes == 64 * 10**6
    assert Limits.of(10**12, 10).bytes == 100 * 10**9


def test_what_is_cut_or_broken_is_named(archive: Path, target: Path) -> None:
    whole = packed({"a.jpg": b"x" * 5000, "b.jpg": b"y" * 5000}, zipfile.ZIP_STORED)
    refused(archive, target, whole[:-1000], "not a whole ZIP archive")
    refused(archive, target, b"<html>", r"not a whole ZIP archive \(File is not a zip file\)")
    refused(archive, target, b"", "not a whole ZIP archive")
    broken = bytearray(whole)
    broken[whole.index(b"y" * 100) + 7] ^= 1
    refused(archive, target, bytes(broken), r"not a whole ZIP archive \(Bad CRC-32 for file 'b\.jpg'\)")


def test_squeezed_data_that_is_damaged(archive: Path, target: Path) -> None:
    whole = packed({"a.jpg": bytes(range(256)) * 100})
    start = whole.index(b"a.jpg") + 5
    refused(archive, target, whole[:start] + b"\xff" * 20 + whole[start + 20 :], "not a whole ZIP archive")


def test_one_name_twice_an_encrypted_entry_and_nothing(archive: Path, target: Path) -> None:
    refused(archive, target, packed({"A.jpg": b"1", "a.jpg": b"2"}), r"one name for several entries: A\.jpg, a\.jpg")
    refused(archive, target, packed({"empty/": b""}), "holds no file")
    locked = bytearray(packed({"a.jpg": b"1"}))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    refused(archive, target, bytes(locked), r"'a\.jpg' \(encrypted\)")


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("a/b.jpg", "a/./b.jpg"), "a/b.jpg, a/./b.jpg"),
        (("a/b.jpg", "a//b.jpg"), "a/b.jpg, a//b.jpg"),
        (("\u00e9.jpg", "e\u0301.jpg"), "\u00e9.jpg, e\u0301.jpg"),
        (("a", "a/b.jpg"), "a"),
        (("A", "a/b/c.jpg", "d.jpg"), "A"),
    ],
)
def test_one_place_under_two_names(archive: Path, target: Path, names: tuple[str, ...], shown: str) -> None:
    refused(archive, target, packed(dict.fromkeys(names, b"1")), f"one name for several entries: {shown}")


@pytest.mark.parametrize("name", ["a.jpg:x", "CON", "sub/nul.jpg", "a.jpg.", "a /b.jpg", "what?.jpg", "tab\t.jpg"])
def test_names_that_not_every_disk_can_hold(archive: Path, target: Path, name: str) -> None:
    refused(archive, target, packed({name: b"1"}), "a name that Windows cannot hold")


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_in_the_rarer_ways_of_squeezing(archive: Path, target: Path, how: int) -> None:
    whole = bytearray(packed({"a.jpg": np.random.default_rng(0).bytes(50_000)}, how))
    whole[2000:3000] = bytes(1000)
    refused(archive, target, bytes(whole), "not a whole ZIP archive")


def test_a_name_that_is_no_text_and_a_place_before_the_beginning(archive: Path, target: Path) -> None:
    whole = packed({"\u00e9.jpg": b"1"})
    refused(archive, target, whole.replace("\u00e9".encode(), b"\xff\xff"), "not a whole ZIP archive")
    early = bytearray(packed({"a.jpg": b"1"}))
    early[-6:-2] = struct.pack("<I", len(early))
    refused(archive, target, bytes(early), "not a whole ZIP archive")


def test_what_file_managers_leave_is_not_counted(tmp_path: Path) -> None:
    for name in ("a.jpg", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"1")
    assert tally(tmp_path) == Unpacked(1, 1)


def test_a_full_disk(archive: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.write_bytes(packed({"a.jpg": b"1" * 10**6}))
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(InputError, match=r"unpacking Input\.zip needs 1 MB and 67 MB to spare, the disk has 1 kB left"):
        unpack(archive, target, ROOMY, quiet)
    assert not target.exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text("./\\ab:~\0 C", min_size=1, max_size=12))
def test_whatever_the_name_nothing_is_written_elsewhere(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "root" / "set"
    folder.mkdir(parents=True, exist_ok=True)
    archive, target = folder / "x.zip", folder / "x"
    archive.write_bytes(packed({name: b"1"}))
    try:
        unpack(archive, target, ROOMY, quiet)
    except (DownloadError, InputError):
        assert not target.exists()
    else:
        assert tally(target).files == 1
        module.shutil.rmtree(target)
    assert list(tmp_path.rglob("*")) == [tmp_path / "root", folder, archive]
