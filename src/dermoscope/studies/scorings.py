"""How often a test role was scored: the log, and the documents that state its counts beside every figure."""

import csv
import datetime
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from dermoscope.core.card import Figures
from dermoscope.data.store import write_file
from dermoscope.predict import bundle as bundles
from dermoscope.predict.bundle import Bundle
from dermoscope.report.blocks import comparison, rewrite
from dermoscope.report.card import as_markdown
from dermoscope.studies.base import Context

LOGGED: Mapping[str, str] = MappingProxyType(
    {
        "HAM10000 test": "test",
        "the same, whole field": "test-whole",
        "ISIC 2017, never seen": "isic2017",
        "ISIC 2017 test": "isic2017-test",
    }
)
"""Splits as tables call them, and as the log does; those that are not here may be looked at freely."""


def log_of(root: Path) -> Path:
    """The log of a repository."""
    return root / "docs" / "test-scorings.csv"


def log_scoring(path: Path, bundle: str, split: str, reason: str) -> int:
    """Append one scoring of a role to the log (date, bundle, split, reason); returns how many this split has now."""
    rows = _rows(path) or [["date", "bundle", "split", "reason"]]
    rows.append([datetime.datetime.now(datetime.UTC).date().isoformat(), bundle, split, reason])
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_file(path, text.getvalue().encode())
    return sum(row[2] == split for row in rows)


def log_run(context: Context, bundle: str, split: str, reason: str) -> None:
    """Log that a study scores a bundle (its SHA-256) on a test split, once for a run however often it is cut.

    Where the command runs in the root of the repository the log is its own and the documents are brought up to it, else
    one beside the study's results.
    """

    def make() -> Mapping[str, np.ndarray]:
        own = log_of(Path.cwd())
        log = own if own.is_file() else context.folder.parent / "test-scorings.csv"
        log_scoring(log, bundle[:12], split, reason)
        if log == own:
            recount(Path.cwd())
        return {"logged": np.array(split)}

    context.piece({"bundle": bundle, "logged": split}, make)


def counted(figures: Figures, log: Path) -> Figures:
    """The same figures with the number of scorings that the log has by now."""
    split = LOGGED.get(figures.title)
    scorings = 0 if split is None else sum(row[2] == split for row in _rows(log)[1:])
    return figures.model_copy(update={"scorings": scorings})


def publish_figures(root: Path, bundle: Bundle, found: Sequence[Figures], folder: str | Path = "default") -> None:
    """Write figures of the bundled model into its card, `docs/figures.json`, `docs/model-card.md` and README.

    `folder` is where the bundle lies, or its name.
    """
    figures = tuple(counted(f, log_of(root)) for f in found)
    card = bundle.card.model_copy(update={"figures": figures})
    bundles.save_card(card, bundles.find(folder))
    content = {"bundle": bundle.sha256, "figures": [f.model_dump(mode="json") for f in figures]}
    write_file(root / "docs" / "figures.json", (json.dumps(content, indent=1) + "\n").encode())
    write_file(root / "docs" / "model-card.md", as_markdown(card, bundle.sha256).encode())
    readme = root / "README.md"
    rewritten = rewrite(readme.read_text(), {"headline": comparison(figures, bundle.sha256)}, "README.md")
    write_file(readme, rewritten.encode())


def recount(root: Path, folder: str | Path = "default") -> bool:
    """Bring the counts in the documents up to the log, scoring nothing; False where they are of another bundle.

    Whoever scores a test role outside `make figures` calls this, in the root of the repository.
    """
    record = root / "docs" / "figures.json"
    bundle = bundles.load(folder)
    held = json.loads(record.read_text()) if record.is_file() else {}
    if held.get("bundle") != bundle.sha256:
        return False
    publish_figures(root, bundle, [Figures.model_validate(f) for f in held["figures"]], folder)
    return True


def _rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines())) if path.exists() else []
