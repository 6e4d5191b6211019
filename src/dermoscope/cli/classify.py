"""`dermoscope classify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dermoscope.core.probabilities import Prior, Probabilities
    from dermoscope.predict.predictor import Predictor, Result, Wanted

_PRIOR_HELP = (
    "How common each diagnosis is where you work: calibration (no shift), uniform, training, ham10000, bcn20000, "
    "isic2019, a file with a number per diagnosis, or estimate: from these images, at least 100. Without it the "
    "bundle's default applies."
)


_SITE_HELP = (
    "How common malignant lesions are where the answer is for: general_practice, skin_cancer_clinic, referral_centre, "
    "or a file with a number per diagnosis. More of them refers more; less never takes back what the floor refers. "
    "Without it as common as in calibration."
)


def classify(
    images: Annotated[list[str], typer.Argument(help="Image files, folders, or - for one image on standard input.")],
    bundle: Annotated[str, typer.Option(help="Name or folder of a bundle.")] = "default",
    views: Annotated[int | None, typer.Option(help="Views to average per image (1 to 16).")] = None,
    prior: Annotated[str | None, typer.Option(help=_PRIOR_HELP)] = None,
    site: Annotated[str | None, typer.Option(help=_SITE_HELP)] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Only an ISIC submission CSV on standard output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Only a JSON list on standard output.")] = False,
) -> None:
    """Classify dermoscopic images.

    Exit code 2 when an image could not be read; the others are done all the same.
    """
    import sys
    from contextlib import nullcontext

    from dermoscope.core.errors import InputError
    from dermoscope.predict.predictor import Predictor
    from dermoscope.predict.sources import gather

    if as_csv and as_json:
        raise InputError("--csv and --json exclude each other")
    predictor = Predictor.load(bundle)
    sources, names = gather(images, sys.stdin.buffer)
    chosen, here = _prior(prior, predictor, len(sources)), _site(site, predictor)
    if len(sources) > 1:
        from dermoscope.cli.progress import phases

        bar = phases()
    else:
        bar = nullcontext(None)  # type: ignore[assignment]
    with bar as report:
        told = None if report is None else lambda done, total: report("classifying", done, total)
        results, failures = predictor.classify(
            sources, names=names, views=views, prior=chosen, site=here, progress=told
        )
    _print(results, predictor, "json" if as_json else "csv" if as_csv else "table")
    for _, message in failures:
        print(f"dermoscope: {message}", file=sys.stderr)
    if failures:
        print(f"dermoscope: {len(failures)} of {len(sources)} images could not be read", file=sys.stderr)
        raise typer.Exit(InputError.exit_code)


def _print(results: "list[Result]", predictor: "Predictor", form: str) -> None:
    if form == "json":
        import json

        print(json.dumps([r.as_dict() for r in results], indent=1))
    elif form == "csv":
        _print_csv(results, predictor)
    elif results:
        _print_table(results, predictor)


def _prior(text: str | None, predictor: "Predictor", images: int) -> "Wanted":
    from dermoscope.data.priors import read_prior
    from dermoscope.refine.prior import ESTIMATE, check_enough, named_prior

    if text == ESTIMATE:
        check_enough(images)
        return lambda calibrated: _estimated(calibrated, predictor)
    if text is None or text in ("calibration", "uniform", "training"):
        return predictor.prior(text)
    path = Path(text)
    return read_prior(path, predictor.taxonomy) if path.is_file() else named_prior(text, predictor.taxonomy)


def _site(text: str | None, predictor: "Predictor") -> "Prior | None":
    from dermoscope.data.priors import read_prior
    from dermoscope.refine.prevalence import setting_named, site_prior

    if text is None:
        return None
    path = Path(text)
    if path.is_file():
        return read_prior(path, predictor.taxonomy)
    return site_prior(setting_named(text), predictor.prior("calibration"))


def _estimated(calibrated: "Probabilities", predictor: "Predictor") -> "Prior":
    """The mix of these images, told on standard error with its intervals."""
    import sys

    from dermoscope.refine.prior import estimate_prior

    found = estimate_prior(calibrated, predictor.bundle.prior("calibration"))
    shares = ", ".join(f"{code} {share.text()}" for code, share in found.shares.items())
    settled = "" if found.converged else f"; not settled after {found.iterations} iterations"
    print(f"dermoscope: prior {found.prior.name}, 95 % intervals: {shares}{settled}", file=sys.stderr)
    return found.prior


def _print_csv(results: "list[Result]", predictor: "Predictor") -> None:
    import sys

    import numpy as np

    from dermoscope.core.probabilities import Probabilities
    from dermoscope.data.files import write_scores

    values = np.array([list(r.probabilities.values()) for r in results]).reshape(-1, len(predictor.taxonomy))
    write_scores(sys.stdout, Probabilities(tuple(r.image for r in results), predictor.taxonomy, values))


def _print_table(results: "list[Result]", predictor: "Predictor") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {"refer": "bold red", "low_concern": "green", "cannot_assess": "yellow"}
    names = {d.code: d.name for d in predictor.taxonomy.diagnoses}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("image", "answer", "most probable", "", "then"):
        table.add_column(heading, overflow="fold")
    for r in results:
        ranked = sorted(r.probabilities.items(), key=lambda item: -item[1])
        (code, p), (second, q) = ranked[:2]
        kind = r.answer.kind
        table.add_row(
            Text(r.image),
            Text(kind.replace("_", " "), styles[kind]),
            names[code],
            f"{p:.0%}",
            f"{names[second]} {q:.0%}",
        )
    console = Console()
    console.print(table)
    for r in results:
        for warning in r.warnings:
            console.print(Text(f"{r.image}: {warning}", "yellow"))
    first = results[0]
    shown = first.prior if first.prior == "calibration" else f"{first.prior} (shifted)"
    console.print(Text(f"prior: {shown}; bundle {predictor.bundle.sha256[:12]}", "dim"))
    console.print(Text("Research software: not a medical device, no diagnosis without a physician.", "dim"))
