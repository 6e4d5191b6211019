"""The service under load, as its clients see it: through HTTP, in a process of its own, against the predictor itself.

    python tools/load.py                       saturation and half load, eight minutes
    python tools/load.py --soak 900            the same, then a quarter of an hour at half load

At saturation sixteen clients ask `POST /api/v1/classify` for one image each, again and again. At half load requests
arrive at half of that rate, at random (Poisson), and then evenly, and a request's time counts from when it was due, not
from when a client was free. What random arrivals cost by themselves is told beside it: a queue before a server that
takes as long as the predictor called directly, and not a moment more. Of such a queue at half load the p99 of two
minutes varies by a standard deviation of half a direct time from draw to draw of the arrivals, so five draws are made.
Rounds of the service and of the predictor called directly alternate, in one run on one machine.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import process
import psutil
from sending import KIND, Client, classify, client_of, jpeg, multipart

from dermoscope.predict.predictor import Predictor

IMAGES, CLIENTS, DRAWS = 64, 16, 5
LEAST, MOST_P50, MOST_P99 = 0.85, 1.5, 5.0
"""What is claimed: images per second at saturation, and latency at half load, as shares of the predictor's own."""
GROWTH = 1.05
"""The memory at the end of a soak, as a share of that after its first fifth, that still counts as flat."""
_EVERY = 20
"""At a soak one request of so many makes a case, reads it, and looks at pages."""


@dataclass(frozen=True)
class Saturation:
    """Images per second of rounds that alternate, and the ratio of each round to the direct ones beside it."""

    service: tuple[float, ...]
    direct: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """One for each round of the service."""
        around = zip(self.service, self.direct, self.direct[1:], strict=False)
        return tuple(2 * ours / (before + after) for ours, before, after in around)

    @property
    def ratio(self) -> float:
        """The median of them."""
        return float(np.median(self.ratios))


@dataclass(frozen=True)
class HalfLoad:
    """Seconds at half load, and of the predictor called with one image before each draw, while nobody asks.

    `queue` are p50 and p99 of the same requests before a server that takes the direct time for each, one by one;
    `draws` those of each draw of arrivals, as shares of the direct time before it.
    """

    rate: float
    requests: int
    p50: float
    p99: float
    direct: float
    refused: int
    queue: tuple[float, float] = (0.0, 0.0)
    draws: tuple[tuple[float, float], ...] = ()

    @property
    def fine(self) -> bool:
        """Whether both quantiles are within what is claimed."""
        return self.p50 <= MOST_P50 * self.direct and self.p99 <= MOST_P99 * self.direct and not self.refused


@dataclass(frozen=True)
class Soak:
    """Megabytes of the serving processes through a soak: medians of its second and last fifth, and the most."""

    minutes: float
    requests: int
    refused: int
    early: float
    late: float
    most: float

    @property
    def flat(self) -> bool:
        """Whether memory did not grow."""
        return self.late <= GROWTH * self.early


def saturation(client: Client, predictor: Predictor, files: Sequence[bytes], rounds: int, seconds: float) -> Saturation:
    """Rounds of the service between rounds of the predictor. Raises RuntimeError for an answer that is none."""
    bodies = [multipart(data) for data in files]

    def direct() -> float:
        done, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            predictor.predict(files)
            done += len(files)
        return done / took

    def ours() -> float:
        until, done = time.perf_counter() + seconds, [0] * CLIENTS

        def one(k: int) -> None:
            position = k
            while time.perf_counter() < until:
                status = classify(client, bodies[position % len(bodies)])
                if status != 200:
                    raise RuntimeError(f"status {status} at saturation")
                done[k] += 1
                position += CLIENTS

        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(one, range(CLIENTS)))
        return sum(done) / (time.perf_counter() - began)

    straight, served = [direct()], []
    for _ in range(rounds):
        served.append(ours())
        straight.append(direct())
    return Saturation(tuple(served), tuple(straight))


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Times of a Poisson process."""
    rng, at, found = random.Random(seed), 0.0, []
    while (at := at + rng.expovariate(rate)) < seconds:
        found.append(at)
    return found


def at_rate(due: Sequence[float], work: Callable[[int], int]) -> list[tuple[float, int]]:
    """Do `work(k)` when it is due; seconds from then until it was done, and its status."""
    began = time.perf_counter()

    def one(k: int) -> tuple[float, int]:
        status = work(k)
        return time.perf_counter() - began - due[k], status

    with ThreadPoolExecutor(8 * CLIENTS) as pool:
        waiting = []
        for k, at in enumerate(due):
            time.sleep(max(0.0, began + at - time.perf_counter()))
            waiting.append(pool.submit(one, k))
        return [future.result() for future in waiting]


def evenly(rate: float, seconds: float) -> list[float]:
    """Times of requests that keep their distance, as other tools send them (wrk2, vegeta)."""
    return [k / rate for k in range(1, max(3, int(rate * seconds)))]


def queued(due: Sequence[float], seconds: float) -> list[float]:
    """How long requests take that are due then, where each takes so long and one is served at a time."""
    free, took = 0.0, []
    for at in due:
        free = max(at, free) + seconds
        took.append(free - at)
    return took


def half_load(
    client: Client, predictor: Predictor, files: Sequence[bytes], rate: float, draws: Sequence[Sequence[float]]
) -> HalfLoad:
    """Latency of requests that are due then, at `rate` of them a second, draw by draw."""
    bodies = [multipart(data) for data in files]
    alone: list[float] = []
    took: list[float] = []
    queue: list[float] = []
    bad, each = 0, []
    for due in draws:
        direct = [_seconds(predictor, data) for data in [*files[:8], *files]][8:]
        found = at_rate(due, lambda k: classify(client, bodies[k % len(bodies)]))
        own, usual = [seconds for seconds, _ in found], float(np.median(direct))
        p50, p99 = _quantiles(own)
        each.append((p50 / usual, p99 / usual))
        alone, took, queue = alone + direct, took + own, queue + queued(due, usual)
        bad += sum(status != 200 for _, status in found)
    return HalfLoad(rate, len(took), *_quantiles(took), float(np.median(alone)), bad, _quantiles(queue), tuple(each))


def _seconds(predictor: Predictor, data: bytes) -> float:
    began = time.perf_counter()
    predictor.predict([data])
    return time.perf_counter() - began


def _quantiles(seconds: Sequence[float]) -> tuple[float, float]:
    p50, p99 = np.quantile(seconds, (0.5, 0.99))
    return float(p50), float(p99)


def soak(client: Client, pid: int, files: Sequence[bytes], rate: float, seconds: float) -> Soak:
    """Requests of many kinds at `rate`, while the memory of the serving processes is looked at."""
    bodies = [multipart(data) for data in files]
    sizes: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(min(5.0, seconds / 100)):
            sizes.append(resident(pid))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        found = at_rate(
            arrivals(rate, seconds, 11),
            lambda k: a_case(client, k, bodies) if k % _EVERY == 0 else classify(client, bodies[k % len(bodies)]),
        )
    finally:
        over.set()
        watching.join()
    fifth = len(sizes) // 5
    early, late = float(np.median(sizes[fifth : 2 * fifth])), float(np.median(sizes[-fifth:]))
    return Soak(seconds / 60, len(found), sum(status >= 400 for _, status in found), early, late, max(sizes))


def a_case(client: Client, number: int, bodies: Sequence[bytes]) -> int:
    """Make a case with an image, read it, and look at its page and at the worklist; the worst status."""
    new = json.dumps({"pseudonym": f"L{number}", "lesion": str(time.time_ns())}).encode()
    status, made = client.ask("POST", "/api/v1/cases", new, "application/json")
    if status != 201:
        return status
    case = json.loads(made)["id"]
    body = bodies[number % len(bodies)]
    asked = [client.ask("POST", f"/api/v1/cases/{case}/images", body, KIND)[0]]
    reading = json.dumps({"decision": "refer"}).encode()
    asked.append(client.ask("POST", f"/api/v1/cases/{case}/readings", reading, "application/json")[0])
    asked += [client.ask("GET", path)[0] for path in (f"/api/v1/cases/{case}", f"/api/v1/cases/{case}/result")]
    return max(asked)


def resident(pid: int) -> float:
    """Megabytes that a process and those that it started hold."""
    try:
        top = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (top, *top.children(recursive=True))) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


@dataclass(frozen=True)
class Loaded:
    """What was measured of one service."""

    saturation: Saturation
    half: HalfLoad
    even: HalfLoad
    soak: Soak | None

    @property
    def fine(self) -> bool:
        """Whether all of it is as claimed."""
        calm = self.soak is None or (self.soak.flat and not self.soak.refused)
        return self.saturation.ratio >= LEAST and self.half.fine and self.even.fine and calm


def measure(
    folder: Path,
    images: int = IMAGES,
    rounds: int = 5,
    seconds: float = 10.0,
    half_s: float = 60.0,
    soak_s: float = 0.0,
) -> Loaded:
    """Start a service below `folder` and measure it."""
    files = [jpeg(seed) for seed in range(images)]
    predictor = Predictor.load("default")
    predictor.predict(files[:8])
    with process.serving(folder / "service") as running, client_of(running.url) as client:
        for data in files[:8]:
            classify(client, multipart(data))
        full = saturation(client, predictor, files, rounds, seconds)
        rate = float(np.median(full.service)) / 2
        half = half_load(client, predictor, files, rate, [arrivals(rate, half_s, 7 + k) for k in range(DRAWS)])
        even = half_load(client, predictor, files, rate, [evenly(rate, half_s)])
        soaked = soak(client, running.process.pid, files, rate, soak_s) if soak_s else None
        running.stop()
    return Loaded(full, half, even, soaked)


def rows(found: Loaded) -> list[tuple[str, str, str, str]]:
    """What was measured, what is claimed, and whether it holds."""
    full = found.saturation
    told = [
        (
            "saturation, sixteen clients",
            f"{np.median(full.service):.1f} images/s, directly {np.median(full.direct):.1f}: {full.ratio:.2f} of it "
            f"({min(full.ratios):.2f} to {max(full.ratios):.2f} in {len(full.ratios)} rounds)",
            f"at least {LEAST:.2f}",
            _verdict(full.ratio >= LEAST),
        ),
        _half_row("half load at random", found.half, queue=True),
        _half_row("half load evenly", found.even, queue=False),
    ]
    if found.soak is not None:
        s = found.soak
        told.append(
            (
                f"soak of {s.minutes:.0f} minutes at half load",
                f"{s.requests} requests, {s.refused} refused; memory {s.early:.0f} MB in the second fifth, "
                f"{s.late:.0f} MB in the last, {s.most:.0f} MB at most",
                f"grows by at most {GROWTH - 1:.0%}",
                _verdict(s.flat and not s.refused),
            )
        )
    return told


def _half_row(name: str, half: HalfLoad, *, queue: bool) -> tuple[str, str, str, str]:
    p50, p99 = half.queue
    alone = f"; a queue alone has {p50 / half.direct:.2f} and {p99 / half.direct:.2f}" if queue else ""
    if len(half.draws) > 1:
        (low50, high50), (low99, high99) = ((min(part), max(part)) for part in zip(*half.draws, strict=True))
        alone += f"; {low50:.2f} to {high50:.2f} and {low99:.2f} to {high99:.2f} in {len(half.draws)} draws of arrivals"
    return (
        f"{name}, {half.rate:.1f} images/s",
        f"{half.requests} requests, p50 {1e3 * half.p50:.0f} ms ({half.p50 / half.direct:.2f} of the "
        f"{1e3 * half.direct:.0f} ms of one image directly), p99 {1e3 * half.p99:.0f} ms ({half.p99 / half.direct:.2f})"
        f"{alone}, {half.refused} refused",
        f"p50 at most {MOST_P50}, p99 at most {MOST_P99:.0f} times",
        _verdict(half.fine),
    )


def _verdict(holds: bool) -> str:
    return "yes" if holds else "**no**"


def main() -> int:
    """Measure and print; 1 where something is not as claimed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soak", type=float, default=0.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), rounds=given.rounds, soak_s=given.soak)
    print(json.dumps(asdict(found)) if given.json else "\n".join(": ".join(row[:2]) for row in rows(found)))
    return 0 if found.fine else 1


if __name__ == "__main__":
    sys.exit(main())
