"""Kill the service while clients upload, again and again, and see whether anything that it acknowledged is gone.

    python tools/kills.py 50

Clients make cases with pictures, one after the other, and batches. Each kill is a SIGKILL at a random moment; then the
audit trail is verified, the service is started again, and what was acknowledged before is asked for: every picture with
the very bytes that belong to it, one result for each, every batch worked off once.
"""

import hashlib
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import faults
import httpx
import process
from sending import jpeg

from dermoscope.data.store import PART
from dermoscope.serve.uploads import clean

CLIENTS, PICTURES, BATCH = 6, 12, 5
_PATIENCE = 120.0
"""Seconds until every batch has to be worked off at the end."""


@dataclass(eq=False)
class Said:
    """What the service acknowledged: cases, pictures by number with their SHA-256, batches by number."""

    cases: set[int] = field(default_factory=set)
    pictures: dict[int, str] = field(default_factory=dict)
    batches: set[int] = field(default_factory=set)
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Outcome:
    """What came of all kills; `lost` names acknowledged things that were gone or other ones, `trail` failed checks."""

    kills: int
    cases: int
    pictures: int
    batches: int
    refused: int
    lost: tuple[str, ...]
    trail: int
    half_written: tuple[str, ...]
    seconds: float

    @property
    def fine(self) -> bool:
        """Whether nothing was lost, refused for no reason, or half-written, and every check of the trail passed."""
        return not (self.lost or self.trail or self.half_written or self.refused) and self.pictures > 0


def killed(folder: Path, kills: int, seed: int = 0) -> Outcome:
    """Kill a service below `folder` so many times under load."""
    rng, said, began = random.Random(seed), Said(), time.monotonic()
    files = [jpeg(k) for k in range(PICTURES)]
    kept = [hashlib.sha256(clean(data, "a.jpg").data).hexdigest() for data in files]
    place, lost, trail = folder / "service", set[str](), 0
    for _ in range(kills):
        running = process.start(place)
        before = Said(set(said.cases), dict(said.pictures), set(said.batches))
        over = threading.Event()
        working = [
            threading.Thread(target=_client, args=(running.url, k, files, kept, said, over)) for k in range(CLIENTS)
        ]
        for one in working:
            one.start()
        recent = dict(list(before.pictures.items())[-20:])
        lost |= _missing(running.url, Said(set(), recent, set()))
        time.sleep(rng.uniform(0.3, 4.0))
        running.kill()
        over.set()
        for one in working:
            one.join()
        trail += not faults.verifies(place)
    with process.serving(place) as running:
        lost |= _missing(running.url, said) | _unfinished(running.url, said)
        running.stop()
    trail += not faults.verifies(place)
    return Outcome(
        kills,
        len(said.cases),
        len(said.pictures),
        len(said.batches),
        said.refused,
        tuple(sorted(lost)),
        trail,
        tuple(_not_whole(place)),
        time.monotonic() - began,
    )


def _client(url: str, number: int, files: list[bytes], kept: list[str], said: Said, over: threading.Event) -> None:
    """Upload until the service is gone; the first client sends batches."""
    rng = random.Random(f"{url} {number}")
    with httpx.Client(base_url=url, headers={"X-Reader": f"kills-{number}"}, timeout=60) as calling:
        while not over.is_set():
            try:
                _batch(calling, rng, files, said) if number == 0 else _picture(calling, rng, files, kept, said)
            except httpx.TransportError:  # the kill: whether it was done is not known, so nothing is expected of it
                return


def _picture(calling: httpx.Client, rng: random.Random, files: list[bytes], kept: list[str], said: Said) -> None:
    which = rng.randrange(len(files))
    made = calling.post("/api/v1/cases", json={"pseudonym": f"K{rng.randrange(50)}", "lesion": str(time.time_ns())})
    if made.status_code != 201:
        return _refused(made, said)
    number = made.json()["id"]
    with said.lock:
        said.cases.add(number)
    answer = calling.post(f"/api/v1/cases/{number}/images", files={"files": ("a.jpg", files[which], "image/jpeg")})
    if answer.status_code != 201:
        return _refused(answer, said)
    with said.lock:
        said.pictures.update(dict.fromkeys(answer.json()["image_ids"], kept[which]))
    return None


def _batch(calling: httpx.Client, rng: random.Random, files: list[bytes], said: Said) -> None:
    chosen = rng.sample(files, BATCH)
    answer = calling.post(
        "/api/v1/jobs", files=[("files", (f"{k}.jpg", f, "image/jpeg")) for k, f in enumerate(chosen)]
    )
    if answer.status_code not in (201, 202):
        return _refused(answer, said)
    with said.lock:
        said.batches.add(answer.json()["id"])
    time.sleep(1.0)
    return None


def _refused(answer: httpx.Response, said: Said) -> None:
    """A service under load may be busy; anything else is no answer to a good picture."""
    if answer.status_code != 503:
        with said.lock:
            said.refused += 1
    time.sleep(0.2)


def _missing(url: str, said: Said) -> set[str]:
    """Acknowledged cases and pictures that are not there as they were."""
    found = set()
    with httpx.Client(base_url=url, headers={"X-Reader": "kills"}, timeout=60) as calling:
        for number, digest in said.pictures.items():
            answer = calling.get(f"/api/v1/images/{number}/full")
            if answer.status_code != 200 or hashlib.sha256(answer.content).hexdigest() != digest:
                found.add(f"image {number}")
        for number in said.cases:
            answer = calling.get(f"/api/v1/cases/{number}")
            if answer.status_code != 200:
                found.add(f"case {number}")
    return found


def _unfinished(url: str, said: Said) -> set[str]:
    """Acknowledged batches that do not end, or with another number of cases than they have images."""
    with httpx.Client(base_url=url, headers={"X-Reader": "kills"}, timeout=60) as calling:

        def state(number: int) -> dict[str, object]:
            got: dict[str, object] = calling.get(f"/api/v1/jobs/{number}").json()
            return got

        faults.within(_PATIENCE, lambda: all(state(n).get("state") == "finished" for n in said.batches))
        wrong = set()
        for number in said.batches:
            job = state(number)
            items = job.get("items")
            made = Counter(i["case"] for i in items if i["case"]) if isinstance(items, list) else Counter()
            if job.get("state") != "finished" or len(made) != BATCH or max(made.values()) > 1:
                wrong.add(f"batch {number}: {json.dumps(job)[:200]}")
    return wrong


def _not_whole(place: Path) -> list[str]:
    """Files of pictures whose content is not the one that they are named by; unfinished ones are nobody's."""
    files = [path for path in (place / "blobs").glob("*/*") if not path.name.startswith(PART)]
    return [path.name for path in files if hashlib.sha256(path.read_bytes()).hexdigest() != path.name]


def main() -> int:
    """Kill and print; 1 where anything is not as it should be."""
    with tempfile.TemporaryDirectory(prefix="dermoscope-") as folder:
        found = killed(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    print(found)
    return 0 if found.fine else 1


if __name__ == "__main__":
    sys.exit(main())
