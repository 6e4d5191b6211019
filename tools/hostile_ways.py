"""The ways into a service by which `hostile.py` sends hostile files, names and requests, and what is noted of each."""

import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import hostile_forms as forms
import httpx
import numpy as np
from hostile_parts import KINDS, SECRET, Kind, sample, saved

LONGEST = 60.0
"""Seconds that one answer may take on a busy machine."""


@dataclass
class Report:
    """What was sent and what came of it; `faults` is empty where everything is as it should be."""

    kinds: int = 0
    sent: int = 0
    refused: int = 0
    read: int = 0
    closed: int = 0
    faults: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    longest: str = ""
    health_p99_s: float = 0.0
    base_mb: float = 0.0
    peak_mb: float = 0.0
    seconds: float = 0.0

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass(frozen=True, eq=False)
class Attack:
    """One attack on one service: who calls, what came of it so far, and words that no answer may hold."""

    client: httpx.Client
    report: Report
    secrets: tuple[str, ...] = ()

    def ask(self, what: str, method: str, path: str, **said: object) -> httpx.Response | None:
        """An answer, looked at for what no answer may be; None where there was none."""
        begun = time.monotonic()
        try:
            answer = self.client.request(method, path, **said)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            self.wrong(what, f"no answer ({type(error).__name__})")
            return None
        self.report.sent += 1
        took = time.monotonic() - begun
        if took > self.report.longest_s:
            self.report.longest_s, self.report.longest = round(took, 2), what
        if took > LONGEST and "98 million" not in what:
            self.wrong(what, f"answered after {took:.1f} s")
        if answer.status_code == 503 and answer.headers.get("retry-after"):
            time.sleep(1)
            return self.ask(what, method, path, **said)
        self.look(what, answer)
        return answer

    def look(self, what: str, answer: httpx.Response) -> None:
        """No failure, no secret, a problem for every refusal of the API."""
        if answer.status_code >= 500:
            self.wrong(what, f"{answer.status_code}: {answer.text[:200]}")
        shown = answer.headers.get("content-type", "").startswith("image/")
        for secret in (*self.secrets, *(() if shown else ("Traceback", "site-packages", 'File "/'))):
            if secret.encode() in answer.content:
                self.wrong(what, f"the answer holds {secret!r}")
        if answer.status_code >= 400 and str(answer.request.url.path).startswith("/api/"):
            told = answer.headers.get("content-type") == "application/problem+json" and answer.json().get("detail")
            if not told:
                self.wrong(what, f"{answer.status_code} without a problem: {answer.text[:200]}")

    def wrong(self, what: str, why: str) -> None:
        """Note a fault."""
        self.report.faults.append(f"{what}: {why}")

    def settle(self, what: str, kind: Kind, read: bool, answer: httpx.Response) -> None:
        """Count an outcome, and compare it with what is right."""
        if read:
            self.report.read += 1
        else:
            self.report.refused += 1
        if kind.told != "either" and read != (kind.told == "read"):
            self.wrong(what, f"{kind.told} is right; {answer.status_code}: {answer.text[:200]}")


# Files -----------------------------------------------------------------------------------------------------------


def by_classify(attack: Attack, what: str, kind: Kind, data: bytes, _: np.ndarray) -> None:
    """`POST /api/v1/classify`."""
    answer = attack.ask(what, "POST", "/api/v1/classify", files={"files": ("odd.jpg", data, "image/jpeg")})
    if answer is None:
        return
    attack.settle(what, kind, answer.status_code == 200, answer)
    if answer.status_code == 200 and [one["file"] for one in answer.json()["results"]] != ["odd.jpg"]:
        attack.wrong(what, f"no result of its own: {answer.text[:200]}")
    if answer.status_code >= 400 and not answer.json()["detail"].startswith("odd.jpg: "):
        attack.wrong(what, f"the reason does not name the file: {answer.text[:200]}")


def by_case(attack: Attack, what: str, kind: Kind, data: bytes, right: np.ndarray) -> None:
    """A case's images; what is stored is compared with what is right."""
    made = attack.ask(what, "POST", "/api/v1/cases", json={"pseudonym": f"H {attack.report.sent}", "lesion": "1"})
    if made is None or made.status_code != 201:
        attack.wrong(what, f"no case: {made and made.text[:200]}")
        return
    place = f"/api/v1/cases/{made.json()['id']}/images"
    answer = attack.ask(what, "POST", place, files={"files": ("odd.jpg", data, "image/jpeg")})
    if answer is None:
        return
    attack.settle(what, kind, answer.status_code == 201, answer)
    if answer.status_code != 201:
        if not answer.json()["detail"].startswith("odd.jpg: "):
            attack.wrong(what, f"the reason does not name the file: {answer.text[:200]}")
        return
    stored = attack.ask(what, "GET", f"/api/v1/images/{answer.json()['image_ids'][0]}/full")
    if stored is not None:
        _compare(attack, what, kind, stored.content, right)


def _compare(attack: Attack, what: str, kind: Kind, data: bytes, right: np.ndarray) -> None:
    from dermoscope.data.images import read_image

    pixels = read_image(data).pixels
    for hidden in (SECRET, b"alert(1)"):
        if hidden in data:
            attack.wrong(what, f"what is stored holds {hidden!r}")
    if kind.told != "read":
        return
    if pixels.shape != right.shape or np.abs(pixels[::4].astype(np.int16) - right[::4]).mean() > 8:
        attack.wrong(what, f"another picture: {pixels.shape} for {right.shape}")


def by_page(attack: Attack, what: str, kind: Kind, data: bytes, _: np.ndarray) -> None:
    """The form of a new case."""
    fields = {"pseudonym": f"P {attack.report.sent}", "lesion": "1"}
    answer = attack.ask(what, "POST", "/cases/new", data=fields, files={"files": ("odd.jpg", data, "image/jpeg")})
    if answer is None:
        return
    attack.settle(what, kind, answer.status_code in (204, 303), answer)
    if answer.status_code >= 400 and "odd.jpg: " not in answer.text:
        attack.wrong(what, f"the page does not name the file: {answer.status_code}")


def by_batch(attack: Attack, kinds: Sequence[tuple[str, Kind, bytes]]) -> None:
    """Many files as one batch, which is worked off until its end."""
    what = f"a batch of {len(kinds)}"
    files = [("files", (f"{k}.jpg", data, "image/jpeg")) for k, (_, _, data) in enumerate(kinds)]
    made = attack.ask(what, "POST", "/api/v1/jobs", files=files)
    if made is None or made.status_code != 201:
        attack.wrong(what, f"not taken: {made and made.text[:300]}")
        return
    until, job = time.monotonic() + 600, made.json()
    while job["state"] == "running" and time.monotonic() < until:
        time.sleep(0.2)
        job = attack.client.get(f"/api/v1/jobs/{job['id']}").json()
    if job["state"] != "finished":
        attack.wrong(what, "did not end")
    for (name, kind, _), item in zip(kinds, job["items"], strict=True):
        if kind.told != "either" and (item["state"] == "done") != (kind.told == "read"):
            attack.wrong(f"batch: {name}", f"{kind.told} is right; {item['state']} ({item['problem']})")
        if item["state"] == "failed" and not item["problem"]:
            attack.wrong(f"batch: {name}", "failed without a reason")


BY: Mapping[str, Callable[[Attack, str, Kind, bytes, np.ndarray], None]] = {
    "classify": by_classify,
    "case": by_case,
    "page": by_page,
}


def attack_files(attack: Attack, kinds: Collection[str], variants: int, ways: Collection[str]) -> None:
    """Every variant of every kind, by every way."""
    waiting: list[tuple[str, Kind, bytes]] = []
    for name in kinds:
        kind = KINDS[name]
        for variant in range(1 if kind.family == "large" else variants):
            data, right = kind.file(variant, name)
            for way in (way for way in ways if way in BY):
                BY[way](attack, f"{way}: {name} ({variant})", kind, data, right)
            if "batch" in ways and variant == 0 and 0 < len(data) < 5_000_000:
                waiting.append((name, kind, data))
            if len(waiting) == 40:
                by_batch(attack, waiting)
                waiting = []
    if waiting:
        by_batch(attack, waiting)


# Names and requests ------------------------------------------------------------------------------------------------


def attack_names(attack: Attack, names: Collection[str], variants: int) -> None:
    """What is no picture, and a picture, under every name, which changes nothing and is told in a harmless form."""
    for called in names:
        for variant in range(variants):
            for data, status in ((b"none", 422), (saved(sample(variant)), 200))[: 1 + (variants > 1)]:
                what = f"a name with {called} ({variant})"
                body, media, _ = forms.named(forms.NAMES[called], data, variant)
                answer = attack.ask(what, "POST", "/api/v1/classify", content=body, headers={"Content-Type": media})
                if answer is None:
                    continue
                if answer.status_code != status and called not in forms.NOT_READ:
                    attack.wrong(what, f"{answer.status_code}: {answer.text[:200]}")
                if {"\x1b", "\u202e", "\0", "\u200b"} & set(answer.text) or "x-evil" in answer.headers:
                    attack.wrong(what, "is told as it is")


def attack_bodies(attack: Attack, place: str, variants: int) -> None:
    """Whole requests that are wrong, and some that are odd."""
    for right, kinds in (("refused", forms.BODIES), ("read", forms.READ)):
        for name, make in kinds.items():
            if name == "nested" and place.endswith("jobs"):  # a batch whose one image failed, which is right
                continue
            for variant in range(variants):
                what = f"{place}: a request with {name} ({variant})"
                body, media, headers = make(sample(variant, name))
                said = {"Content-Type": media, **headers} if media else dict(headers)
                answer = attack.ask(what, "POST", place, content=body, headers=said)
                if answer is not None and (answer.status_code < 400) != (right == "read"):
                    attack.wrong(what, f"{right} is right; {answer.status_code}: {answer.text[:200]}")


def attack_wires(attack: Attack, variants: int) -> None:
    """Connections that lie about their length: an error or a closed connection, and never a failure."""
    place = urlsplit(str(attack.client.base_url))
    for variant in range(variants):
        for name, data in forms.wires("/api/v1/classify", variant).items():
            said = _exchange((place.hostname or "", place.port or 80), data)
            attack.report.sent += 1
            first = said.partition(b"\r\n")[0].split(b" ")
            if not said:
                attack.report.closed += 1
            elif len(first) < 2 or not first[1].startswith(b"4"):
                attack.wrong(f"a connection with {name} ({variant})", repr(said[:200]))


def _exchange(place: tuple[str, int], data: bytes) -> bytes:
    said = b""
    with suppress(OSError), socket.create_connection(place, timeout=5) as connection:
        with suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65_536):
            said += part
    return said


def attack_together(attack: Attack) -> None:
    """The largest pictures there are from many sides at once: read, or told to come again."""
    large = [name for name, kind in KINDS.items() if kind.family == "large"]

    def send(number: int) -> None:
        name = large[number % len(large)]
        files = {"files": ("large", KINDS[name].file(0, name)[0])}
        answer = attack.ask(f"together: {name}", "POST", "/api/v1/classify", files=files)
        if answer is not None and answer.status_code != 200:
            attack.wrong(f"together: {name}", f"{answer.status_code}: {answer.text[:200]}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(16)))
