"""Images for a first look."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from dermoscope.core.errors import InputError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.samples import Origin, folder_samples, printable, public_or_drawn_samples
from dermoscope.data.store import write_file
from dermoscope.data.synthetic import draw


def test_names_are_unique_and_printable(tmp_path: Path) -> None:
    for name in ("a/x.jpg", "b/x.png", "y.jpg", "z\x1b.jpg", "z\x07.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    samples = folder_samples(tmp_path)
    assert samples.lead.startswith("5 images from ")
    assert len(set(samples.names)) == 5
    assert all(name.isprintable() for name in samples.names)
    assert {"a/x.jpg", "b/x.png", "y"} <= set(samples.names)
    assert samples.origins == {}


def test_names_that_differ_only_in_what_was_replaced_are_numbered(tmp_path: Path) -> None:
    for name in ("z\x1b.jpg", "z\x07.jpg"):
        (tmp_path / name).write_bytes(b"?")
    assert folder_samples(tmp_path).names == ("z\ufffd.jpg (1)", "z\ufffd.jpg (2)")


def test_printable_keeps_letters_of_any_script() -> None:
    assert printable("Läsion 病変 №7") == "Läsion 病変 №7"
    assert printable("a\udce9\u202eb\n") == "a\ufffd\ufffdb\ufffd"


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image in this folder"):
        folder_samples(tmp_path)


def test_what_the_archive_gave_keeps_its_credits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path))
    data = draw(1, "BCC", (96, 72)).jpeg()
    write_file(tmp_path / "archive" / "ISIC_0000001.jpg", data)
    kept = {"file": "ISIC_0000001.jpg", "attribution": "A, ISIC Archive, ISIC_0000001, CC-0", "diagnosis": "BCC"}
    kept["sha256"] = sha256(data).hexdigest()
    write_file(tmp_path / "archive" / "samples.json", json.dumps([kept]).encode())
    samples = public_or_drawn_samples(tmp_path / "drawn", count=1)
    assert samples.names == ("ISIC_0000001",)
    assert samples.origins["ISIC_0000001"] == Origin(kept["attribution"], "BCC", False)
    assert samples.lead == "1 public-domain image from the ISIC archive."
    assert not samples.problem
    assert not (tmp_path / "drawn").exists()


def test_without_the_archive_lesions_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DERMOSCOPE_ARCHIVE_URL", "http://127.0.0.1:9/api/v2")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    samples = public_or_drawn_samples(tmp_path / "drawn", count=9)
    assert [samples.origins[n].diagnosis for n in samples.names] == [*ISIC2019.codes, "MEL"]
    assert all(o.synthetic for o in samples.origins.values())
    assert all(p.is_file() and p.stem == n for p, n in zip(samples.paths, samples.names, strict=True))
    assert "synthetic" in samples.lead
    assert "cannot reach 127.0.0.1:9" in samples.problem
