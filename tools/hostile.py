"""Attack a service with hostile files, names and requests, and say whatever came of it that should not.

    python tools/hostile.py                 forty kinds, one variant each
    python tools/hostile.py --full --json   every kind, five variants, every way in; about a quarter of an hour
    python tools/hostile.py --list          the kinds, and what is right

The service runs in a process of its own, with a home and a temporary folder of its own. `make reliability` runs the
full form; the tests run the short one.
"""

import argparse
import json
import signal
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import hostile_forms as forms
import hostile_kinds  # noqa: F401
import hostile_odd  # noqa: F401
import httpx
import numpy as np
import psutil
from hostile_parts import KINDS
from hostile_ways import (
    Attack,
    Report,
    attack_bodies,
    attack_files,
    attack_names,
    attack_together,
    attack_wires,
)
from process import Running, serving

VARIANTS = 5
WAYS = ("classify", "case", "page", "batch")
"""Ways in: `POST /api/v1/classify`, a case's images, the page of a case, a batch."""
MOST_MB = 3_500
"""Megabytes that the serving process may have: a WebP of 98 million pixels is read beside two for the model."""
LATEST = 2.0
"""Seconds within which 99 in 100 calls of /health are answered meanwhile."""
HEADERS = {"X-Reader": "R7", "Cookie": "reader=R7; language=en"}
SHORT = (
    *("JPEG cut in its first half", "PNG cut in its first half", "TIFF cut near its end", "GIF cut in its first half"),
    *("WEBP cut in its first half", "BMP cut near its end", "JPEG with wrong bytes", "PNG bomb", "TIFF bomb"),
    *("TIFF of a huge tile", "GIF bomb", "WebP bomb", "BMP bomb", "JPEG of 65,535 sides", "zip bomb"),
    *("PNG with a huge zTXt", "PNG of empty chunks", "JPEG of scans", "JPEG of segments", "JPEG of EXIF"),
    *("TIFF whose next image is itself", "TIFF of numbers", "TIFF whose deflate goes on", "PNG with huge EXIF"),
    *("JPEG and zip", "JPEG and HTML", "PDF and JPEG", "PDF", "docx", "SVG with a script", "DICOM", "HEIC"),
    *("nothing", "PNG of 1 x 1", "CMYK JPEG", "PNG of 16 bits", "moving WEBP", "EXIF with a script"),
    *("EXIF with a place", "profile of rubbish"),
)
"""What the tests send: every family, and the kinds that faults were found with."""


@contextmanager
def watched(report: Report, url: str, pid: int) -> Iterator[None]:
    """Ask /health again and again, and look how much memory the process has."""
    ended, times, process = threading.Event(), [], psutil.Process(pid)
    report.base_mb = round(process.memory_info().rss / 1e6)

    def look() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while not ended.is_set():
                begun = time.monotonic()
                try:
                    said = client.get("/health").status_code
                    if said != 200:
                        report.faults.append(f"/health: {said}")
                except httpx.HTTPError as error:
                    report.faults.append(f"/health: no answer ({type(error).__name__})")
                times.append(time.monotonic() - begun)
                report.peak_mb = max(report.peak_mb, round(process.memory_info().rss / 1e6))
                ended.wait(0.05)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        report.peak_mb = max(report.peak_mb, _highest(pid))
        report.health_p99_s = round(float(np.quantile(times, 0.99)), 3)


def _highest(pid: int) -> float:
    """Megabytes that Linux saw at most; 0 elsewhere."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6)
    return 0.0


def tree(*folders: Path) -> dict[str, tuple[int, int]]:
    """Every file below folders, with its size and when it was written."""
    found = {}
    for path in (path for folder in folders for path in folder.rglob("*")):
        with suppress(OSError):
            if path.is_file():
                found[str(path)] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found


def attack(
    url: str,
    kinds: Collection[str] = SHORT,
    variants: int = 1,
    ways: Collection[str] = WAYS,
    *,
    headers: Mapping[str, str] = HEADERS,
    secrets: Sequence[str] = (),
) -> Report:
    """Attack a service that runs; nothing is asked of its process."""
    report = Report(kinds=len(kinds) + len(forms.NAMES) + len(forms.BODIES) + len(forms.READ))
    report.kinds += len(forms.wires("/", 0))
    begun = time.monotonic()
    with httpx.Client(base_url=url, headers=dict(headers), timeout=600) as client:
        one = Attack(client, report, tuple(secrets))
        attack_files(one, kinds, variants, ways)
        attack_names(one, forms.NAMES, variants)
        for place in ("/api/v1/classify", "/api/v1/jobs")[: 2 if variants > 1 else 1]:
            attack_bodies(one, place, variants)
        attack_wires(one, 1)
        if variants > 1:
            attack_together(one)
    report.seconds = round(time.monotonic() - begun, 1)
    return report


def attack_process(
    folder: Path, kinds: Collection[str] = SHORT, variants: int = 1, ways: Collection[str] = WAYS
) -> Report:
    """Attack a service in a process of its own, and look at its memory, its files and its log besides."""
    home, temporary = folder / "home", folder / "tmp"
    for one in (home, temporary):
        one.mkdir(parents=True)
    environment = {"HOME": str(home), "TMPDIR": str(temporary), "DERMOSCOPE_HOME": str(home)}
    with serving(folder / "service", environment=environment) as running:
        before = tree(home, temporary)
        secrets = (str(folder), str(Path(__file__).parents[1]))
        seen = Report()
        with watched(seen, running.url, running.process.pid):
            report = attack(running.url, kinds, variants, ways, secrets=secrets)
        _afterwards(report, running, before, tree(home, temporary))
        report.faults += seen.faults
        report.base_mb, report.peak_mb, report.health_p99_s = seen.base_mb, seen.peak_mb, seen.health_p99_s
    if report.peak_mb > MOST_MB:
        report.faults.append(f"memory: {report.peak_mb:.0f} MB, over {MOST_MB}")
    if report.health_p99_s > LATEST:
        report.faults.append(f"/health: 99 in 100 within {report.health_p99_s} s, over {LATEST}")
    return report


def _afterwards(report: Report, running: Running, before: Mapping, after: Mapping) -> None:
    """Nothing outside the store, nothing left in it, an end in peace."""
    report.faults += [f"written outside the store: {path}" for path in after if after[path] != before.get(path)]
    report.faults += [f"{path} was there" for path in ("/tmp/escaped.jpg", "/tmp/escaped") if Path(path).exists()]
    if (code := running.stop()) not in (0, -signal.SIGTERM):
        report.faults.append(f"the service ended with {code}")
    log = running.log.read_text()
    if "Traceback" in log:
        report.faults.append("the log tells of a failure: " + log[log.index("Traceback") :][-600:])
    report.faults += left_over(running.log.with_suffix(""))


def left_over(folder: Path) -> list[str]:
    """Files of a store that no row speaks of once it was swept, and unfinished ones."""
    import datetime

    from sqlalchemy import select

    from dermoscope.serve.blobs import Blobs
    from dermoscope.serve.options import Options
    from dermoscope.serve.store import Store
    from dermoscope.serve.tables import Image, JobItem

    store = Store.open(Options(folder=folder))
    try:
        Blobs(folder).sweep(store, older_than=datetime.timedelta(0))
        with store.read() as session:
            rows = set(session.scalars(select(Image.digest))) | set(session.scalars(select(JobItem.digest)))
    finally:
        store.close()
    there = {path.name for path in (folder / "blobs").glob("*/*")}
    found = [f"a picture without a row: {name}" for name in there - rows]
    return found + [f"a row without a picture: {name}" for name in rows - there - {None}]


def table() -> str:
    """The families of kinds, as a table of Markdown."""
    lines = ["| family | refused, with a reason | read: the right picture | either |", "|---|---|---|---|"]
    for family in dict.fromkeys(kind.family for kind in KINDS.values()):
        cells = [
            "; ".join(name for name, k in KINDS.items() if (k.family, k.told) == (family, told))
            for told in ("refused", "read", "either")
        ]
        lines.append(f"| {family} | {' | '.join(cells)} |")
    return "\n".join(lines).replace("<", "&lt;")


def main() -> int:
    """Run it; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every kind in five variants")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.add_argument("--list", action="store_true", help="print the kinds as a table")
    given = parser.parse_args()
    if given.list:
        print(table())
        return 0
    with tempfile.TemporaryDirectory(prefix="dermoscope-") as folder:
        chosen = (tuple(KINDS), VARIANTS) if given.full else (SHORT, 1)
        report = attack_process(Path(folder), *chosen)
    if given.json:
        print(json.dumps(asdict(report), indent=1, ensure_ascii=False))
    else:
        print("\n".join(f"{name:14} {value}" for name, value in asdict(report).items() if name != "faults"))
        print("\n".join(["faults", *report.faults]) if report.faults else "nothing is wrong")
    return 0 if report.fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
