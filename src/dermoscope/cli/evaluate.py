"""`dermoscope evaluate`: a submission against the truth, as tables or JSON."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.table import Table

    from dermoscope.core.estimate import Estimate
    from dermoscope.core.probabilities import Scores
    from dermoscope.core.taxonomy import Taxonomy
    from dermoscope.core.truth import Truth
    from dermoscope.evaluate.curves import ReliabilityBin

    Curves = Mapping[str, tuple[ReliabilityBin, ...]]

_OVERALL = (
    ("balanced_accuracy", "Balanced accuracy", "the ISIC score: mean share of each diagnosis found"),
    ("validation", "  with validation weights", "the same, weighed by validation_weight"),
    ("accuracy", "Accuracy", "share of all cases found; common diagnoses dominate"),
    ("macro_average.auc", "AUC", "mean over diagnoses; .5 is guessing"),
    ("macro_average.auc_sens_80", "AUC above 80 % sens.", "the part of it where few are missed"),
    ("macro_average.ap", "Average precision", "mean over diagnoses"),
    ("macro_average.sensitivity", "Sensitivity", "mean, at a score above 0.5"),
    ("macro_average.specificity", "Specificity", "mean, at a score above 0.5"),
    ("macro_average.dice", "F1 (Dice)", "mean, at a score above 0.5"),
    ("log_loss", "Log-loss", "0 is perfect"),
    ("brier", "Brier score", "0 is perfect, 2 is worst"),
    ("ece", "Calibration error", "probability of the answer against how often it is right"),
    ("ece_if_perfect", "  if it were perfect", "what true probabilities would show here"),
    ("macro_average.calibration_slope", "Calibration slope", "mean; below 1: too sure of itself"),
    ("MEL.calibration_slope", "  melanoma", "against all others"),
    ("malignant.calibration_slope", "  any malignant", "sum of the malignant ones"),
    ("macro_average.calibration_intercept", "Calibration intercept", "mean; below 0: probabilities too high"),
    ("MEL.calibration_intercept", "  melanoma", "against all others"),
    ("malignant.calibration_intercept", "  any malignant", "sum of the malignant ones"),
)
_CURVES = (("top", "Highest probability"), ("MEL", "Melanoma"), ("malignant", "Any malignant diagnosis"))
_RANKED = (
    ("recall", "found"),
    ("auc", "AUC"),
    ("auc_sens_80", "AUC > 80 %\nsensitivity"),
    ("ap", "average\nprecision"),
    ("calibration_slope", "calibration\nslope"),
)
_THRESHOLDED = (
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("ppv", "PPV"),
    ("npv", "NPV"),
    ("dice", "F1 (Dice)"),
)


def evaluate(
    predictions: Annotated[str, typer.Argument(metavar="PREDICTIONS.csv", help="ISIC submission; - reads stdin.")],
    truth: Annotated[str, typer.Argument(metavar="TRUTH.csv", help="One-hot truth of the same images.")],
    taxonomy: Annotated[str | None, typer.Option(help="isic2018 or isic2019; else read off the truth.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    resamples: Annotated[int, typer.Option(help="Resamples of the bootstrap.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    reliability: Annotated[bool, typer.Option("--reliability", help="Add the reliability curves.")] = False,
) -> None:
    """Score predictions as the official ISIC scorer does, with 95 % intervals.

    PREDICTIONS.csv has a column "image" and one per diagnosis. TRUTH.csv has the same columns with one 1 per row, and
    may have lesion_id, patient_id, score_weight and validation_weight. Images of one lesion are resampled together.
    """
    from dermoscope.evaluate.curves import reliability_curves
    from dermoscope.evaluate.matching import brought_to
    from dermoscope.evaluate.score import evaluate as score
    from dermoscope.evaluate.score import remarks

    scores, labels, target = _read(predictions, truth, taxonomy)
    scores, labels, warnings = brought_to(scores, labels, target)
    for warning in warnings:
        typer.echo(f"dermoscope: warning: {warning}", err=True)
    found = score(scores, labels, resamples=resamples, seed=seed)
    said = remarks(scores, labels)
    curves = reliability_curves(scores, labels) if reliability else None
    if json:
        _print_json(found, said, curves)
    else:
        _print_tables(found, scores.taxonomy, said, resamples, curves)


def _read(predictions: str, truth: str, taxonomy: str | None) -> tuple["Scores", "Truth", "Taxonomy"]:
    import io
    import sys

    from dermoscope.core.errors import InputError
    from dermoscope.core.taxonomy import TAXONOMIES
    from dermoscope.data.files import guess_taxonomy, read_scores, read_truth

    if taxonomy is not None and taxonomy not in TAXONOMIES:
        raise InputError(f"--taxonomy {taxonomy}: unknown; choose {' or '.join(TAXONOMIES)}")
    # A pipe cannot be rewound, and the columns are looked at before the values are read.
    source = io.StringIO(sys.stdin.read()) if predictions == "-" else predictions
    of_truth = guess_taxonomy(truth)
    scores, labels = read_scores(source, guess_taxonomy(source)), read_truth(truth, of_truth)
    return scores, labels, of_truth if taxonomy is None else TAXONOMIES[taxonomy]


def _print_json(found: dict[str, "Estimate"], said: list[str], curves: "Curves | None") -> None:
    import json

    for remark in said:
        typer.echo(f"dermoscope: note: {remark}", err=True)
    told: dict[str, Any] = {name: e.as_dict() for name, e in found.items()}
    if curves is not None:
        told["reliability"] = {name: [b.as_dict() for b in bins] for name, bins in curves.items()}
    typer.echo(json.dumps(told, indent=2, allow_nan=False))


def _print_tables(
    found: dict[str, "Estimate"], taxonomy: "Taxonomy", said: list[str], resamples: int, curves: "Curves | None"
) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    best = found["balanced_accuracy"]
    console.print(_overall(found, f"{best.n:,} {best.unit}s, 95 % intervals"))
    console.print(
        _per_class(found, taxonomy, _RANKED, "Each diagnosis: is its score the highest, and how does it rank?")
    )
    console.print(
        _per_class(
            found,
            taxonomy,
            _THRESHOLDED,
            "Each diagnosis at a score above 0.5 (PPV, NPV: is a yes, a no right?)",
        )
    )
    for name, label in _CURVES:
        if curves and name in curves:
            console.print(_curve(curves[name], f"{label}: does its probability come true?"))
    if curves == {}:
        said = [*said, "No reliability curves: rows of the scores do not sum to 1."]
    _print_notes(console, [_how(best.unit, resamples), *said])


def _overall(found: dict[str, "Estimate"], title: str) -> "Table":
    from rich.table import Table

    table = Table("figure", title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("value", justify="right")
    table.add_column("interval")
    table.add_column("what it says", style="dim")
    for name, label, meaning in _OVERALL:
        if name == "validation" and found[name] == found["balanced_accuracy"]:
            continue
        estimate = found[name]
        why = meaning if estimate.value is not None else estimate.method
        table.add_row(label, *_parts(estimate), why)
    return table


def _per_class(
    found: dict[str, "Estimate"], taxonomy: "Taxonomy", columns: tuple[tuple[str, str], ...], title: str
) -> "Table":
    from rich.table import Table

    table = Table("", title=f"\n{title}", title_justify="left", box=None, pad_edge=False)
    table.add_column("n", justify="right")
    for _, label in columns:
        table.add_column(label, justify="right")
    for code in taxonomy.codes:
        recall = found[f"{code}.recall"]
        cells = ["\n".join(_parts(found[f"{code}.{name}"])) for name, _ in columns]
        table.add_row(code, "0" if recall.value is None else f"{recall.n:,}", *cells)
    return table


def _curve(bins: "tuple[ReliabilityBin, ...]", title: str) -> "Table":
    from rich.table import Table

    table = Table("probability", title=f"\n{title}", title_justify="left", box=None, pad_edge=False)
    for label in ("images", "mean", "came true"):
        table.add_column(label, justify="right")
    table.add_column("interval")
    for b in bins:
        row = (f"{b.low:.2f} to {b.high:.2f}", f"{b.cases:,}", f"{b.expected:.3f}")
        table.add_row(*row, *_parts(b.observed))
    return table


def _parts(estimate: "Estimate") -> tuple[str, str]:
    if estimate.value is None:
        return "-", ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}", ""
    return f"{estimate.value:.3f}", f"{estimate.low:.3f}–{estimate.high:.3f}".replace("–-", " to -")


def _how(unit: str, resamples: int) -> str:
    return (
        f"Intervals: bootstrap of {resamples:,} resamples, drawn by {unit} within each diagnosis; for rates of one "
        'diagnosis Wilson\'s interval. "-" cannot be measured; --json gives every figure with its method.'
    )


def _print_notes(console: "Console", notes: list[str]) -> None:
    console.print()
    for note in notes:
        console.print(f"* {note}", markup=False)
