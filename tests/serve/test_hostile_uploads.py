"""Hostile and odd files, names and requests: an error that names them, or the right picture.

The full set is what `make reliability` sends: every kind in five variants by every way in. Here forty kinds go to a
service in a process of its own, and every kind once through what cleans uploads.
"""

import json
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import hostile
import hostile_forms
import hostile_ways
import pytest
from hostile import SHORT, attack_process, table
from hostile_parts import KINDS, Kind

from dermoscope.serve.uploads import shown_name

LONGEST_S = 5
MOST_MB = 600
SMALL = tuple(name for name, kind in KINDS.items() if kind.family not in ("large", "sizes"))
TOOLS = Path(__file__).parents[2] / "tools"

EACH = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
import hostile_kinds, hostile_odd
from hostile_parts import KINDS, SECRET
import numpy as np
from dermoscope.core.errors import ImageError
from dermoscope.data.images import read_image
from dermoscope.serve.uploads import clean

for name in json.loads(sys.argv[2]):
    data, right = KINDS[name].file(int(sys.argv[3]), name)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before, why, off = time.process_time(), "", None
    try:
        upload = clean(data, "sent.file")
        assert SECRET not in upload.data and b"alert(1)" not in upload.data, name
        pixels = read_image(upload.data).pixels
        off = float(np.abs(pixels.astype(int) - right).mean()) if pixels.shape == right.shape else 255.0
        done = "read"
    except ImageError as error:
        done, why = "refused", str(error)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most
    said = {"name": name, "done": done, "why": why, "off": off, "mb": more / 1024, "s": time.process_time() - before}
    print(json.dumps(said))
"""


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (6_000_000_000, 6_000_000_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


def test_every_kind_is_refused_by_name_or_is_the_right_picture(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", EACH, str(TOOLS), json.dumps(SMALL), "0"]
    said = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, cwd=tmp_path, check=False)
    assert said.returncode == 0, said.stderr[-2000:]
    found = {one["name"]: one for one in map(json.loads, said.stdout.splitlines())}
    assert set(found) == set(SMALL)
    for name, one in found.items():
        right = KINDS[name].told
        assert right in (one["done"], "either"), one
        assert one["s"] < LONGEST_S, one
        assert one["mb"] < MOST_MB, one
        if one["done"] == "refused":
            assert one["why"].startswith("sent.file: "), one
            assert one["why"].isprintable(), one
        elif right == "read":
            assert one["off"] < 8, one
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_service_stands_what_is_sent_to_it(tmp_path: Path) -> None:
    report = attack_process(tmp_path, SHORT, ways=("case", "page"))
    assert report.faults == []
    assert report.refused > 40
    assert report.read > 20
    assert 100 < report.peak_mb < hostile.MOST_MB


def test_the_kinds_are_many_and_say_what_is_right() -> None:
    told = Counter(kind.told for kind in KINDS.values())
    assert sum(told.values()) >= 200
    assert told["either"] < 20
    assert len(set(SHORT)) == 40
    assert set(SHORT) <= set(KINDS)
    assert {KINDS[name].family for name in SHORT} >= {kind.family for kind in KINDS.values()} - {"large"}


def test_variants_are_others_and_always_the_same() -> None:
    name = "JPEG cut in its first half"
    files = [KINDS[name].file(variant, name)[0] for variant in (0, 1, 2, 0)]
    assert len(set(files)) == 3
    assert files[0] == files[3]


def test_the_page_of_the_docs_tells_every_kind() -> None:
    page = (TOOLS.parent / "docs" / "reference" / "uploads.md").read_text()
    assert table() in page, "python tools/hostile.py --list"


@pytest.mark.parametrize("name", hostile_forms.NAMES.values())
def test_a_name_is_shown_short_and_printable(name: str) -> None:
    assert shown_name(name).isprintable()
    assert 0 < len(shown_name(name)) <= 80
    assert not {"/", "\\"} & set(shown_name(name))


def test_an_attack_finds_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"PDF": Kind("no picture", "read", KINDS["PDF"].make)}
    monkeypatch.setattr(hostile_ways, "KINDS", wrong)
    monkeypatch.setattr(hostile, "MOST_MB", 10)
    for forms in ("NAMES", "BODIES", "READ"):
        monkeypatch.setattr(hostile_forms, forms, {})
    monkeypatch.setattr(hostile_forms, "wires", lambda *_: {})
    found = attack_process(tmp_path, ["PDF"], ways=("classify",))
    assert len(found.faults) == 2
    assert found.faults[0].startswith("classify: PDF (0): read is right; 422: ")
    assert found.faults[1].startswith("memory: ")
    assert not found.fine


def test_a_file_outside_the_store_is_seen(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"a")
    before = hostile.tree(tmp_path)
    (tmp_path / "escaped").touch()
    (tmp_path / "kept").write_bytes(b"b")
    after = hostile.tree(tmp_path)
    assert {Path(path).name for path in after if after[path] != before.get(path)} == {"escaped", "kept"}
