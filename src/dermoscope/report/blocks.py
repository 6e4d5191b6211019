"""Blocks of a Markdown file that are rewritten from measured figures, each between two markers.

<!-- figures:headline -->
...
<!-- /figures:headline -->
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial

from dermoscope.core.card import Figures
from dermoscope.core.errors import InputError
from dermoscope.core.estimate import Estimate

ROWS: Mapping[str, str] = {
    "isic2018:balanced_accuracy": "balanced accuracy, the seven diagnoses of ISIC 2018",
    "balanced_accuracy": "balanced accuracy, eight diagnoses (ISIC 2019)",
    "held:balanced_accuracy": "balanced accuracy, only the diagnoses that are there",
    "macro_average.auc": "AUC, mean over diagnoses",
    "melanoma": "melanoma AUC, the lowest of three ¹ ²",
    "calibration:accuracy": "accuracy ²",
    "calibration:log_loss": "log-loss ²",
    "calibration:ece": "calibration error (ECE) ²",
    "calibration:ece_if_perfect": "ECE that a perfect model would show ²",
    "decision.answered": "answered (the rest: cannot assess)",
    "decision.melanoma_sensitivity": "melanomas referred ³",
    "decision.melanoma_sensitivity_abstained_missed": "melanomas referred, an abstention counts as missed",
    "decision.melanoma_sensitivity_answered": "melanomas referred, abstentions left out",
    "decision.malignant_sensitivity": "malignant referred ³",
    "decision.sensitivity": "malignant or premalignant referred ³",
    "decision.specificity": "benign of low concern ³",
}
"""Figures of the README's table and how it calls them."""

MELANOMA = ("calibration:MEL.auc", "calibration:MEL.auc_against_histo_nevi", "calibration:MEL.auc_within_source")
_MELANOMA_WORDS = {
    MELANOMA[0]: "against all other lesions",
    MELANOMA[1]: "against nevi confirmed by histology",
    MELANOMA[2]: "within a source",
}


def lowest_melanoma_auc(figures: Figures) -> tuple[Estimate, str]:
    """The lowest melanoma AUC of a split and in words which of the three it is."""
    held = {name: figures.get(name) for name in MELANOMA if name in figures.estimates}
    measured = {name: e for name, e in held.items() if e.value is not None}
    name = min(measured, key=lambda n: measured[n].value or 0.0)
    return measured[name], _MELANOMA_WORDS[name]


def comparison(splits: Sequence[Figures], sha256: str) -> str:
    """One table, a column per split: value [95 % interval], unit and n in the heading; notes and the bundle's hash."""
    lines = ["| figure | " + " | ".join(_heading(s) for s in splits) + " |", "|---" * (len(splits) + 1) + "|"]
    shown = {n: label for n, label in ROWS.items() if n == "melanoma" or any(n in s.estimates for s in splits)}
    for name, label in shown.items():
        lines.append(f"| {label} | " + " | ".join(_cell(s, name) for s in splits) + " |")
    which = "; ".join(f"{s.title}: {lowest_melanoma_auc(s)[1]}" for s in splits)
    lines += [
        "",
        "¹ Of the AUC against all other lesions, against histologically confirmed nevi only, and with lesions compared "
        f"only within their source. Lowest for {which}. All three stand in the model card.",
        "² Under the calibration prior; rows without ² under the bundle's default, every diagnosis equally common.",
        "³ As served under the default prior, by the stored rule without a site of its own; an image that cannot be "
        "assessed counts as referred.",
        "",
        "Intervals: 95 %, bootstrap stratified by diagnosis, clustered by the unit; Wilson for rates. Patient ids are "
        "missing in these data, so intervals are optimistic. Scorings of each test split so far: "
        + ", ".join(f"{s.title} {s.scorings}" for s in splits if s.scorings)
        + f". Bundle `{sha256[:12]}`, measured {splits[0].date} by `make figures`.",
    ]
    return "\n".join(lines)


def rewrite(text: str, blocks: Mapping[str, str], name: str = "the file") -> str:
    """The text with the content of each named block replaced. Raises InputError where a block has no markers."""
    for block, content in blocks.items():
        pattern = re.compile(rf"(<!-- figures:{block} -->\n).*?(<!-- /figures:{block} -->)", re.DOTALL)
        if not pattern.search(text):
            raise InputError(f"{name}: no block <!-- figures:{block} --> ... <!-- /figures:{block} -->")
        text = pattern.sub(partial(_between, content), text)
    return text


def _between(content: str, markers: re.Match[str]) -> str:
    return f"{markers[1]}{content}\n{markers[2]}"


def _heading(figures: Figures) -> str:
    e = figures.get("balanced_accuracy")
    return f"{figures.title} ({e.n:,} {e.unit}s)"


def _cell(figures: Figures, name: str) -> str:
    if name == "melanoma":
        return lowest_melanoma_auc(figures)[0].text()
    return figures.get(name).text() if name in figures.estimates else "–"
