"""Transfers against a real server on loopback, well-behaved and otherwise."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from dermoscope.core.errors import DownloadError, InputError
from dermoscope.data import fetch as module
from dermoscope.data.fetch import Remote, digest_of, fetch, read_receipt, readable

DATA = np.random.default_rng(1).bytes(1_000_000)
OTHER = np.random.default_rng(2).bytes(900_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


def quiet(*_: object) -> None:
    pass


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)


@pytest.fixture
def server(bucket: Any) -> Any:
    bucket.files["2018/a.bin"] = DATA
    return bucket


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "set" / "a.bin"


def remote(server: Any, **known: Any) -> Remote:
    return Remote((f"{server.url}/2018/a.bin",), **known)


def test_a_file_its_receipt_and_nothing_else(server: Any, target: Path) -> None:
    told: list[tuple[str, int, int]] = []
    receipt = fetch(remote(server), target, lambda *p: told.append(p))
    assert target.read_bytes() == DATA
    assert (receipt.size, receipt.sha256, receipt.url) == (len(DATA), SHA256, f"{server.url}/2018/a.bin")
    assert read_receipt(target) == receipt
    assert sorted(p.name for p in target.parent.iterdir()) == ["a.bin", "a.bin.json"]
    assert ("a.bin", len(DATA), len(DATA)) in told
    assert told[-1] == ("checking a.bin", len(DATA), len(DATA))
    assert server.asked == [("2018/a.bin", "")]


def test_a_transfer_that_breaks_off_goes_on_where_it_was(server: Any, target: Path) -> None:
    server.faults = ["breaks off", "breaks off"]
    assert fetch(remote(server), target, quiet).sha256 == SHA256
    assert [wanted for _, wanted in server.asked] == ["", "bytes=500000-", "bytes=750000-"]


def test_headway_is_tried_again_without_end(server: Any, target: Path) -> None:
    server.faults = ["breaks off"] * (module.TRIES + 4)
    assert fetch(remote(server), target, quiet).sha256 == SHA256


def test_what_came_before_a_failure_is_kept_for_the_next_command(server: Any, target: Path) -> None:
    server.faults = ["breaks off"] + ["503"] * (module.TRIES + 1)
    with pytest.raises(DownloadError) as error:
        fetch(remote(server), target, quiet)
    host = server.url.removeprefix("http://")
    assert str(error.value) == (
        f"{host}: answered 503; 500,000 of 1,000,000 bytes of a.bin have arrived and are kept: "
        "repeat the command and it goes on from there"
    )
    assert not target.exists()
    server.faults, server.asked = [], []
    assert fetch(remote(server), target, quiet).sha256 == SHA256
    assert server.asked == [("2018/a.bin", "bytes=500000-")]


@pytest.mark.parametrize("fault", ["ignores ranges", "ignores If-Range"])
def test_a_part_of_another_file_is_never_joined(server: Any, target: Path, fault: str) -> None:
    server.faults = ["breaks off"] + ["503"] * module.TRIES
    with pytest.raises(DownloadError):
        fetch(remote(server), target, quiet)
    server.files["2018/a.bin"] = OTHER
    server.faults = [fault]
    assert fetch(remote(server), target, quiet).size == len(OTHER)
    assert target.read_bytes() == OTHER


def test_a_server_without_ranges_sends_all_again(server: Any, target: Path) -> None:
    server.faults = ["breaks off", "ignores ranges"]
    assert fetch(remote(server), target, quiet).sha256 == SHA256


def test_without_an_etag_nothing_is_joined(server: Any, target: Path) -> None:
    server.faults = ["no validator", "no validator"]
    server.files["2018/a.bin"] = DATA
    assert fetch(remote(server), target, quiet).sha256 == SHA256
    part = target.with_name("b.bin.part")
    part.write_bytes(DATA[:10])
    part.with_name("b.bin.part.json").write_text(
        json.dumps({"url": f"{server.url}/2018/a.bin", "validator": "", "size": 1_000_000})
    )
    server.asked = []
    assert fetch(remote(server), target.with_name("b.bin"), quiet).sha256 == SHA256
    assert server.asked == [("2018/a.bin", "")]


def test_a_transfer_of_unsaid_length_goes_on_too(server: Any, target: Path) -> None:
    server.faults = ["unsaid, breaks off", "unsaid"]
    assert fetch(remote(server), target, quiet).sha256 == SHA256
    assert [wanted for _, wanted in server.asked] == ["", "bytes=500000-"]


def test_a_body_without_end_is_cut(server: Any, target: Path) -> None:
    told: list[int] = []
    server.faults = ["unsaid, endless"]
    with pytest.raises(DownloadError, match=r"a\.bin .* is not the file that is known: .* the catalog says 1,000,000"):
        fetch(remote(server, size=len(DATA)), target, lambda _, done, __: told.append(done))
    server.faults = ["breaks off", "unsaid, endless"]
    assert fetch(remote(server), target, lambda _, done, __: told.append(done)).sha256 == SHA256
    assert max(told) < 2 * len(DATA)


def test_a_body_without_end_of_a_file_of_unknown_size_ends_before_the_disk_is_full(
    server: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10**9, 10**6])
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": next(free)})())
    server.faults = ["unsaid, endless"]
    with pytest.raises(
        InputError, match=r"the rest of a\.bin needs 0 bytes and 67 MB to spare, the disk has 1 MB left"
    ):
        fetch(remote(server), target, quiet)


def test_a_range_that_is_no_number_is_another_file() -> None:
    state = module._State("", '"tag"', 9)
    for said in ("bytes 5-8/" + "9" * 5000, f"bytes {'9' * 5000}-8/9", "bytes 5-8", "pages 5-8/9", ""):
        answer = httpx.Response(206, headers={"Content-Range": said})
        with pytest.raises(module._AgainError, match="the file changed between two pieces"):
            module._continues(answer, state, 5)


def test_a_part_that_is_whole_already(server: Any, target: Path) -> None:
    fetch(remote(server), target, quiet)
    part = target.with_name("a.bin.part")
    target.replace(part)
    tag = hashlib.md5(DATA).hexdigest()
    state = {"url": f"{server.url}/2018/a.bin", "validator": f'"{tag}"', "size": len(DATA)}
    part.with_name("a.bin.part.json").write_text(json.dumps(state))
    server.asked = []
    assert fetch(remote(server), target, quiet).sha256 == SHA256
    assert server.asked == [("2018/a.bin", "bytes=1000000-")]


def test_a_server_that_announces_more_than_it_sends(server: Any, target: Path) -> None:
    server.faults = ["says more", "", "says more", "", "says more", "", "says more", "", "says more", ""]
    with pytest.raises(DownloadError, match=r"has 1000000 bytes and had announced 1000100; nothing of a\.bin was kept"):
        fetch(remote(server), target, quiet)
    assert not target.exists()


def test_a_server_that_announces_less_than_it_sends(server: Any, target: Path) -> None:
    server.faults = ["says less"]
    with pytest.raises(DownloadError, match=r"announces 999,900 bytes for a.bin, the catalog has 1,000,000: another"):
        fetch(remote(server, size=len(DATA)), target, quiet)
    server.faults = ["says less"]
    with pytest.raises(DownloadError, match=rf"its sha256 is \w+, the catalog says {SHA256}; it was removed"):
        fetch(remote(server, digest=f"sha256:{SHA256}"), target, quiet)
    assert not list(target.parent.iterdir())


def test_a_checksum_of_another_kind_is_checked_too(server: Any, target: Path) -> None:
    right = f"md5:{hashlib.md5(DATA).hexdigest()}"
    with pytest.raises(DownloadError, match=r"its md5 is .*, the catalog says 0123; it was removed"):
        fetch(remote(server, digest="md5:0123"), target, quiet)
    assert fetch(remote(server, digest=right, size=len(DATA)), target, quiet).sha256 == SHA256
    assert fetch(remote(server, digest="md5:0123", size=5), target, quiet, accept_changed=True).sha256 == SHA256


def test_another_file_than_last_time_is_refused(server: Any, target: Path) -> None:
    fetch(remote(server), target, quiet)
    target.unlink()
    server.files["2018/a.bin"] = OTHER
    with pytest.raises(
        DownloadError, match=rf"its SHA-256 is \w+, on 20\d\d-\d\d-\d\d it was {SHA256}; it was removed"
    ):
        fetch(remote(server), target, quiet)
    assert not target.exists()
    assert fetch(remote(server), target, quiet, accept_changed=True).size == len(OTHER)


@pytest.mark.parametrize("status", ["404", "403", "410"])
def test_what_is_not_there_is_said_at_once(server: Any, target: Path, status: str) -> None:
    server.faults = [status]
    with pytest.raises(DownloadError, match=rf"a\.bin cannot be fetched: \S+ answered {status}\. Check the"):
        fetch(remote(server), target, quiet)
    assert len(server.asked) == 1


def test_the_second_address_serves_where_the_first_has_moved(server: Any, target: Path) -> None:
    moved = Remote((f"{server.url}/gone/a.bin", f"{server.url}/2018/a.bin"))
    assert fetch(moved, target, quiet).url == f"{server.url}/2018/a.bin"
    assert [path for path, _ in server.asked] == ["gone/a.bin", "2018/a.bin"]


def test_a_busy_server_is_asked_again(server: Any, target: Path) -> None:
    server.faults = ["503", "429", "500"]
    assert fetch(remote(server), target, quiet).sha256 == SHA256


def test_a_server_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(
        DownloadError, match=r"a\.bin cannot be fetched: 127\.0\.0\.1:9 is out of reach \(.*\)\. Check the"
    ):
        fetch(Remote(("http://127.0.0.1:9/a.bin",)), tmp_path / "a.bin", quiet)


def test_a_login_page_is_no_file(server: Any, target: Path) -> None:
    server.faults = ["web page"]
    with pytest.raises(DownloadError, match=r"answers with a web page instead of a\.bin; is there a login page"):
        fetch(remote(server), target, quiet)


def test_a_full_disk_is_seen_before_anything_is_written(
    server: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2**20})())
    with pytest.raises(
        InputError,
        match=r"the rest of a\.bin needs 1 MB and 67 MB to spare, the disk has 1 MB left; free some or choose",
    ):
        fetch(remote(server), target, quiet)


def test_a_folder_that_cannot_be_written(server: Any, tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file")
    with pytest.raises(InputError, match=r"a\.bin: cannot be written \(File exists\); free space or choose --root"):
        fetch(remote(server), tmp_path / "set" / "a.bin", quiet)


def test_a_server_that_falls_silent_is_asked_for_the_rest(
    server: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pause = 0.3
    server.files["2018/a.bin"] = DATA[:200_000]
    short = httpx.Timeout(0.1)
    monkeypatch.setattr(module.httpx, "Timeout", lambda *_, **__: short)
    assert fetch(remote(server), target, quiet).size == 200_000
    assert len(server.asked) > 2
    assert all(wanted.startswith("bytes=") for _, wanted in server.asked[1:])


def test_receipts_that_cannot_be_read_count_as_none(tmp_path: Path) -> None:
    assert read_receipt(tmp_path / "a") is None
    for text in ("", "[]", '{"url": 1}', "{"):
        (tmp_path / "a.json").write_text(text)
        assert read_receipt(tmp_path / "a") is None


def test_bytes_for_readers(tmp_path: Path) -> None:
    sizes = (0, 999, 492_996, 999_600, 2_771_732_744, 12_000_000_000, 120_000_000_000)
    assert [readable(size) for size in sizes] == [
        "0 bytes",
        "999 bytes",
        "493 kB",
        "1 MB",
        "2.77 GB",
        "12.00 GB",
        "120 GB",
    ]
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_of(tmp_path / "a", "md5") == "900150983cd24fb0d6963f7d28e17f72"
