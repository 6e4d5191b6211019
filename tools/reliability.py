"""What the service and long runs are put through before they are relied on, and the page that says what came of it.

    python tools/reliability.py                   everything, about three quarters of an hour
    python tools/reliability.py load faults       these parts; the others keep their figures, date and commit

`make reliability` runs it and rewrites docs/reliability.md; the tests run short forms of the same functions.
"""

import argparse
import datetime
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import faults
import hostile
import interrupted
import kills
import load

ROOT = Path(__file__).parents[1]
KILLS, SERVICE_KILLS = 20, 50
SOAK = 900.0
KEPT = ROOT / "docs" / "reliability.json"
PAGE = ROOT / "docs" / "reliability.md"


@dataclass(frozen=True)
class Part:
    """One part of the page: its title, what was done in words, a table (the first row is its head), and the verdict."""

    title: str
    words: str
    rows: tuple[tuple[str, ...], ...]
    fine: bool


def runs(folder: Path) -> Part:
    """Training runs and transfers that are killed."""
    found = [interrupted.trained(folder, KILLS), interrupted.fetched(folder, KILLS)]
    rows = [("what was killed", "kills", "runs", "ended like one that was left alone", "compared")]
    rows += [(o.what, str(o.kills), str(o.runs), f"{o.equal} of {o.runs}", o.compared) for o in found]
    words = "Every kill is a SIGKILL at a random moment, after which the same command is started again."
    return Part("Long runs", words, tuple(rows), all(o.equal == o.runs for o in found))


def struck(folder: Path) -> Part:
    """A service that is killed while clients upload."""
    found = kills.killed(folder, SERVICE_KILLS)
    rows = [
        ("kills of the service", "acknowledged", "lost", "trail does not verify", "half-written", "refused"),
        (
            str(found.kills),
            f"{found.pictures} pictures of {found.cases} cases, {found.batches} batches of {kills.BATCH}",
            ", ".join(found.lost) or "nothing",
            f"{found.trail} times of {found.kills + 1}",
            ", ".join(found.half_written) or "nothing",
            str(found.refused),
        ),
    ]
    words = (
        f"{kills.CLIENTS} clients upload cases and batches while the service is killed (SIGKILL) after .3 to 4 s, and "
        "started again in the same folder. After each kill the audit trail is verified; at the end every acknowledged "
        "picture is asked for and compared by its SHA-256, and every batch has to be worked off, each image once."
    )
    return Part("Kills under load", words, tuple(rows), found.fine)


def broken(folder: Path) -> Part:
    """A full disk, a database that goes, a clock that steps back, a damaged model."""
    rows, fine = [("fault", "what the client was told", "refused in words", "went on", "nothing lost")], True
    for name, make in faults.FAULTS.items():
        try:
            o = make(folder / name)
        except faults.CannotError as error:
            rows.append((name, f"not made here: {error}", "", "", ""))
            continue
        rows.append((o.fault, o.said, yes(o.refused), yes(o.recovered), yes(o.whole)))
        fine &= o.fine
    words = (
        "Each fault is made for real below a service in a process of its own. *Nothing lost*: every acknowledged "
        "picture is given as it was, no file is half-written, and `dermoscope audit verify` finds the trail unchanged."
    )
    return Part("Faults", words, tuple(rows), fine)


def loaded(folder: Path) -> Part:
    """Saturation, half load, a soak."""
    found = load.measure(folder, soak_s=SOAK)
    rows = [("load", "measured", "claimed", "holds"), *load.rows(found)]
    words = (
        "`POST /api/v1/classify` through HTTP, clients on the same two cores, against the same predictor called "
        "directly; rounds of both alternate in one run. At half load requests arrive at random (Poisson), then evenly, "
        "and a request's time counts from when it was due; *a queue alone* is what the same arrivals come to before a "
        "server that takes exactly the direct time for each. The soak adds cases, readings and pages to one request in "
        "twenty."
    )
    return Part("Load", words, tuple(rows), found.fine)


def sent(folder: Path) -> Part:
    """Hostile files, names and requests."""
    found = hostile.attack_process(folder, tuple(hostile.KINDS), hostile.VARIANTS)
    rows = [
        ("what", "number"),
        ("kinds", str(found.kinds)),
        ("requests", str(found.sent)),
        ("files refused with a reason", str(found.refused)),
        ("files read, the right picture where that is known", str(found.read)),
        ("memory at most (MB)", f"{found.peak_mb:.0f}"),
        ("99 in 100 calls of /health within (s)", f"{found.health_p99_s}"),
        ("faults", str(len(found.faults))),
        *(("fault", fault[:300]) for fault in found.faults[:20]),
    ]
    words = (
        "Every kind of [what uploads are refused](reference/uploads.md) in five variants by every way in, besides "
        "names, and requests that are wrong. A fault is a failure, an answer without a reason, another picture, a file "
        "outside the store, a secret in an answer, or too much memory."
    )
    return Part("Hostile uploads", words, tuple(rows), found.fine)


PARTS: Mapping[str, Callable[[Path], Part]] = {
    "runs": runs,
    "kills": struck,
    "faults": broken,
    "uploads": sent,
    "load": loaded,
}


def main() -> None:
    """Run the parts that are asked for and write the page; exit code 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="by default all")
    given = parser.parse_args()
    fine = True
    for name in given.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="dermoscope-") as folder:
            part = PARTS[name](Path(folder))
        keep(name, part)
        fine &= part.fine
        print(f"{part.title}: {'as it should be' if part.fine else 'NOT as it should be'}", flush=True)
        for row in part.rows[1:]:
            print("  " + "; ".join(cell for cell in row if cell), flush=True)
    if not fine:
        raise SystemExit(1)


def keep(name: str, part: Part) -> None:
    """Store a part beside the others, with date and commit, and write the page of all."""
    said = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    held = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    held[name] = {**vars(part), "date": today, "commit": said.stdout.strip()[:12]}
    KEPT.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(held))


def page(held: Mapping[str, Mapping[str, object]]) -> str:
    """The page as Markdown."""
    lines = [
        "# Reliability",
        "",
        "Written by `make reliability`: what the service and long runs were put through, and what came of it.",
    ]
    for name in PARTS:
        if name not in held:
            continue
        part = held[name]
        lines += [
            "",
            f"## {part['title']}",
            "",
            f"{part['words']} Measured on {part['date']} at `{part['commit']}`.",
            "",
        ]
        lines += table(part["rows"])  # type: ignore[arg-type]
        if not part["fine"]:
            lines += ["", "**Not everything is as it should be.**"]
    return "\n".join(lines) + "\n"


def table(rows: Iterable[Iterable[str]]) -> list[str]:
    """Rows as a table of Markdown, the first one its head."""
    told = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return [told[0], "|" + "---|" * (told[0].count(" | ") + 1), *told[1:]]


def yes(fine: bool) -> str:
    """A verdict in a cell."""
    return "yes" if fine else "**no**"


if __name__ == "__main__":
    main()
