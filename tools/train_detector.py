"""Train the detector of ink and rulers again and write it into the bundled weights: `make detector`.

Needs DERMOSCOPE_DATA with ham10000; about ten minutes. It learns on the role training and chooses where a
mark starts on the role validation; it reads no other data set and no test role. Seeded.

`train_detector.csv` says what the eye saw in pictures that an earlier network had flagged, and in those of role
validation that this one flags: `marked` ones show real ink or a real ruler and are not learnt as bare skin, `hard` ones
show neither and are learnt more often.
"""

import csv
import hashlib
import json
import random
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import cv2
import torch

from dermoscope.cli.progress import phases
from dermoscope.core.cases import Case
from dermoscope.data.catalog import load
from dermoscope.data.splits import with_role
from dermoscope.predict.marks import KINDS
from dermoscope.refine.quality import QualityLimits
from dermoscope.train.detector import chosen_cuts, fit, shares_above, to_graph
from dermoscope.train.detector_pictures import draw_lesson

PACKAGE = Path(__file__).parents[1] / "weights" / "src" / "dermoscope_weights"
SEEN = Path(__file__).with_suffix(".csv")

REAL, DRAWN, EPOCHS = 1500, 5000, 9
"""Real pictures (beside the hard ones), how many are drawn on them, how often they are gone through."""

CUTS = tuple(k / 4 for k in range(-12, 25))
"""Logits that a mark may start at."""

FALSE = 0.01
"""Share of the pictures of role validation without a mark that a kind may flag."""


def copies(case: Case) -> tuple[Path, ...]:
    """All copies of an image, the sharpest first."""
    return tuple(dict.fromkeys((*([case.path] if case.path else []), *case.copies)))


def to_draw_on(cases: Sequence[Case], seen: dict[str, str]) -> list[Path]:
    """Pictures without a mark: some of all, in one copy each, and all hard ones in the sharpest and the whole copy."""
    choose = random.Random(7)
    mixed = list(cases)
    choose.shuffle(mixed)
    bare = [copies(case) for case in mixed if seen.get(case.image_id) != "marked"][:REAL]
    paths = [held[choose.randrange(len(held))] for held in bare]
    hard = sorted((case for case in cases if seen.get(case.image_id) == "hard"), key=lambda case: case.image_id)
    paths += [path for case in hard for path in (copies(case)[0], copies(case)[-1])]
    choose.shuffle(paths)
    return paths


def main() -> None:
    """Draw, train, choose the cuts, write the graph and its card."""
    cv2.setNumThreads(1)
    seen = {row["image"]: row["use"] for row in csv.DictReader(SEEN.read_text().splitlines())}
    cases, limits = load("ham10000"), QualityLimits()
    paths = to_draw_on(list(with_role(cases, "training")), seen)
    held = [case for case in with_role(cases, "validation") if seen.get(case.image_id) != "marked"]
    with phases() as told:
        told("drawing", 0, 1)
        lesson = draw_lesson(paths, DRAWN, seed=2)
        network = fit(lesson, EPOCHS, 0, told=lambda k, n: told("training", k, n))
        told("choosing", 0, 1)
        shares = shares_above(network, [path for case in held for path in copies(case)], CUTS)
    cuts = chosen_cuts(shares, CUTS, (limits.ink, limits.ruler), FALSE)
    graph = to_graph(network)
    card = {
        "sha256": hashlib.sha256(graph).hexdigest(),
        "cuts": dict(zip(KINDS, cuts, strict=True)),
        "limits": {"ink": limits.ink, "ruler": limits.ruler},
        "trained_on": f"{DRAWN} pictures with drawn marks and confounders, on {len(paths)} of HAM10000's role training",
        "cuts_chosen_on": f"{len(shares)} pictures of HAM10000's role validation without a mark, at most {FALSE:.0%} "
        "of which a kind flags",
        "licence": "CC BY-NC-SA 4.0, as the pictures it was trained on",
        "date": date.today().isoformat(),
        "made_with": f"torch {torch.__version__.split('+')[0]}, tools/train_detector.py",
    }
    (PACKAGE / "marks.onnx").write_bytes(graph)
    (PACKAGE / "marks.json").write_text(json.dumps(card, indent=1) + "\n")
    print(json.dumps(card, indent=1))


if __name__ == "__main__":
    torch.set_num_threads(1)  # so that the order of sums, and with it the file, is the same everywhere it can be
    main()
