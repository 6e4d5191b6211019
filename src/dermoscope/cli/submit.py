"""`dermoscope submit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dermoscope.core.probabilities import Scores

Form = Annotated[
    str, typer.Option(help="calibrated, or operating-point: mapped so that 0.5 is the operating point (see --at).")
]
Points = Annotated[
    list[str] | None,
    typer.Option("--at", help="Operating point: MEL=0.2, or 0.3 for all; may be repeated. Without it 0.5."),
]
Strangeness = Annotated[
    list[Path] | None,
    typer.Option(help="For the column UNK: what `classify --json` printed (.json), or a CSV with image and ood."),
]
Limit = Annotated[float, typer.Option(help="Strangeness rank above which an image is submitted as UNK.")]


def submit(
    predictions: Annotated[Path, typer.Argument(help="Probabilities as `dermoscope classify --csv` prints them.")],
    challenge: Annotated[str, typer.Option(help="isic2019 or isic2018.")],
    out: Annotated[Path | None, typer.Option(help="File to write; else standard output.")] = None,
    form: Form = "calibrated",
    at: Points = None,
    ood: Strangeness = None,
    unknown_from: Limit = 0.99,
    images: Annotated[Path | None, typer.Option(help="CSV with a column image: exactly these must be there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was written as JSON; needs --out.")] = False,
) -> None:
    """Write a submission to an ISIC challenge, accepted by the official scorer.

    ISIC 2019 has nine columns (UNK is 0 without --ood), ISIC 2018 seven (AK and SCC add up to AKIEC).
    """
    import json
    import sys

    from dermoscope.core.errors import InputError
    from dermoscope.data.files import guess_taxonomy, read_scores, write_scores
    from dermoscope.data.submission import check_images, for_challenge

    if form not in ("calibrated", "operating-point"):
        raise InputError(f"no form {form!r}; there are calibrated, operating-point")
    if at and form == "calibrated":
        raise InputError("--at is for --form operating-point")
    if as_json and out is None:
        raise InputError("--json needs --out: the submission itself goes to standard output otherwise")
    given = for_challenge(read_scores(predictions, guess_taxonomy(predictions)), challenge)
    scores, conflicts = _formed(_with_unknown(given, challenge, ood, unknown_from), form, at or [])
    if images is not None:
        check_images(scores, images)
    write_scores(out or sys.stdout, scores)
    if as_json:
        told = {"challenge": challenge, "form": form, "images": len(scores), "columns": scores.taxonomy.codes}
        print(json.dumps({**told, "conflicts": conflicts, "file": str(out)}))
    else:
        _tell(f"{len(scores):,} images, {len(scores.taxonomy)} columns, {form}", out, len(conflicts))


def _tell(words: str, out: Path | None, conflicts: int) -> None:
    import sys

    print(f"{out or 'standard output'}: {words}", file=sys.stdout if out else sys.stderr)
    if conflicts:
        print(
            f"dermoscope: {conflicts} images where another diagnosis is above its operating point and the most "
            "probable one is not: that one is above 0.5 too, since the largest column is the diagnosis",
            file=sys.stderr,
        )


def _with_unknown(given: "Scores", challenge: str, ood: list[Path] | None, limit: float) -> "Scores":
    from dermoscope.core.errors import InputError
    from dermoscope.core.probabilities import Probabilities
    from dermoscope.data.submission import read_strangeness, with_strangeness

    if challenge != "isic2019":
        if ood:
            raise InputError(f"{challenge} has no column UNK; --ood is for isic2019")
        return given
    assert isinstance(given, Probabilities)
    return with_strangeness(given, read_strangeness(ood, given.ids) if ood else None, limit)


def _formed(scores: "Scores", form: str, at: list[str]) -> "tuple[Scores, tuple[str, ...]]":
    from dermoscope.data.submission import at_operating_points, operating_points

    if form == "calibrated":
        return scores, ()
    mapped = at_operating_points(scores, operating_points(at, scores.taxonomy))
    return mapped.scores, mapped.conflicts
