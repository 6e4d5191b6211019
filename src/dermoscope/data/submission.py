"""Probabilities as a submission to an ISIC challenge, in two forms.

`calibrated`       the probabilities as they are
`operating-point`  mapped so that 0.5 is the operating point of every diagnosis: the official scorer calls a diagnosis
                   present where its column is above 0.5, whatever it was calibrated for

The official scorer (`isic-challenge-scoring` 5.6) takes the largest column as the diagnosis and a tie as an error. The
column UNK of ISIC 2019 comes from how strange an image is, where that is given.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from dermoscope.core.errors import InputError, TableError, ValueRuleError, some, why
from dermoscope.core.probabilities import Probabilities, Scores
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, ISIC2019_TO_ISIC2018, Taxonomy
from dermoscope.core.truth import with_unknown
from dermoscope.data.tables import read_table

CHALLENGES: Mapping[str, Taxonomy] = MappingProxyType({"isic2019": with_unknown(ISIC2019), "isic2018": ISIC2018})
"""Challenge -> its columns."""

UNKNOWN_FROM = 0.99
"""Strangeness rank above which an image is submitted as UNK, unless another is chosen."""

BELOW, ABOVE, TOP = 0.49, 0.51, 0.99
"""What is not above its operating point ends at `BELOW`; what is lies from `ABOVE` to `TOP`."""

_USUAL = 0.1
"""UNK of an image at the limit: with it the largest of eight probabilities, 1/8 or more, stays the largest column."""


@dataclass(frozen=True, eq=False)
class Mapped:
    """Scores of the form `operating-point`, and the images whose predicted diagnosis had to be raised above 0.5."""

    scores: Scores
    conflicts: tuple[str, ...]


def for_challenge(given: Scores, challenge: str) -> Probabilities:
    """Probabilities over the diagnoses of a challenge, without UNK unless the file had it; AK + SCC for ISIC 2018.

    Raises InputError for a challenge that is not known, probabilities over diagnoses that cannot become its own, and
    rows that do not sum to 1.
    """
    if challenge not in CHALLENGES:
        raise InputError(f"no challenge {challenge!r}; there are {some(CHALLENGES)}")
    target = CHALLENGES[challenge]
    try:
        found = Probabilities(given.ids, given.taxonomy, given.values)
    except ValueRuleError as error:
        raise InputError(f"a submission is made of probabilities: {error}; give those of `classify --csv`") from None
    if target == ISIC2018 and found.taxonomy == ISIC2019:
        return found.merged(ISIC2019_TO_ISIC2018)
    if found.taxonomy.codes not in (target.codes, target.codes[: len(ISIC2019)] if target != ISIC2018 else ()):
        why = "UNK has no column there" if "UNK" in found.taxonomy else "AKIEC cannot be told apart into AK and SCC"
        raise InputError(f"predictions over {some(found.taxonomy.codes, 12)} cannot be submitted to {challenge}: {why}")
    return found


def with_strangeness(
    known: Probabilities, rank: Float[np.ndarray, " cases"] | None = None, limit: float = UNKNOWN_FROM
) -> Probabilities:
    """Probabilities over ISIC 2019 with the column UNK; 0 where `rank` (strangeness in [0, 1]) is not given.

    UNK is u(r), and the others are scaled by 1 - u. Up to the limit u rises from 0 to 0.1, above it from 0.51 to 1, so
    UNK is the largest column exactly where the rank is above the limit: below it the largest of the others is at least
    0.9 / 8 > 0.1, above it all of them together are less than 0.5. u rises with r, so the AUC of UNK is that of the
    rank. It is not a probability that was calibrated.

    Raises InputError where there is a column UNK already, ValueRuleError for ranks outside [0, 1] or a limit that is
    not between 0 and 1.
    """
    wider = with_unknown(ISIC2019)
    if known.taxonomy == wider:
        if rank is not None:
            raise InputError("the predictions hold a column UNK already; leave it out, or give no --ood")
        return known
    if known.taxonomy != ISIC2019:
        raise InputError(f"{known.taxonomy.name} has no column UNK; --ood is for isic2019")
    if not 0 < limit < 1:
        raise ValueRuleError(f"strangeness limit {limit:g}: it must be between 0 and 1")
    found = np.zeros(len(known)) if rank is None else np.asarray(rank, float)
    outside = ~((found >= 0) & (found <= 1))
    if outside.any():
        raise ValueRuleError(f"strangeness outside [0, 1]: {some(np.array(known.ids)[outside])}")
    strange = 0.51 + 0.49 * (found - limit) / (1 - limit)
    unknown = np.where(found > limit, strange, _USUAL * found / limit)
    return Probabilities(known.ids, wider, np.column_stack([known.values * (1 - unknown)[:, None], unknown]))


def at_operating_points(given: Scores, points: Mapping[str, float]) -> Mapped:
    """Scores mapped so that a column is above 0.5 where the value was above its operating point, argmax unchanged.

    `points` gives t_c in (0, 1) for some diagnoses; it is 0.5 for the others. Two steps:

    1. Every column is mapped by f_c, increasing and in two straight pieces: [0, t_c] onto [0, 0.49], and (t_c, 1] onto
       (0.51, 0.99]. So f_c(p) > 0.5 exactly where p > t_c, and no column changes its order of cases.
    2. The f_c differ, so the largest value of a row may have moved. Let k be its largest before (the first of equals),
       m the largest of the other columns now. Where f_k(p_k) <= m, column k of that row becomes (m + b) / 2, with
       b = 0.5 if p_k <= t_k and m < 0.5, else b = 1.

    Then m < (m + b) / 2 < b, since m <= 0.49 in the first case and m <= 0.99 in the second: k is the only largest, so
    the argmax is that of `given` and no tie is left. Decisions: only column k changes in step 2. In the first case it
    stays below 0.5. In the second, with p_k > t_k, it is above 0.5 as it was. What remains is p_k <= t_k with another
    diagnosis above its operating point: then no scores have both properties, as the largest would have to be at most
    0.5 and another above it. There the argmax and the other decisions stay, and k alone is called present against its
    operating point; these are `conflicts`.

    Raises ValueRuleError for an operating point of an unknown diagnosis or outside (0, 1).
    """
    taxonomy = given.taxonomy
    t = np.full(len(taxonomy), 0.5)
    for code, point in points.items():
        if not 0 < point < 1:
            raise ValueRuleError(f"operating point {code}={point:g}: it must be between 0 and 1")
        t[taxonomy.index(code)] = point
    p, rows = given.values, np.arange(len(given))
    positive = p > t
    values = np.where(positive, ABOVE + (TOP - ABOVE) * (p - t) / (1 - t), BELOW * p / t)
    first = p.argmax(axis=1) if len(given) else np.zeros(0, int)
    others = values.copy()
    others[rows, first] = -1.0
    most = others.max(axis=1, initial=-1.0)
    moved = values[rows, first] <= most
    allowed = positive[rows, first]
    bound = np.where(~allowed & (most < 0.5), 0.5, 1.0)
    values[rows[moved], first[moved]] = ((most + bound) / 2)[moved]
    conflicts = tuple(given.ids[row] for row in np.flatnonzero(moved & ~allowed & (most > 0.5)))
    return Mapped(Scores(given.ids, taxonomy, values), conflicts)


def operating_points(texts: Sequence[str], taxonomy: Taxonomy) -> dict[str, float]:
    """`MEL=0.2` for one diagnosis, `0.3` for all; what is said of one counts more than what is said of all.

    Raises InputError for anything else.
    """
    for_all: dict[str, float] = {}
    for_one: dict[str, float] = {}
    for text in texts:
        code, equals, number = text.rpartition("=")
        try:
            point = float(number)
        except ValueError:
            raise InputError(f"--at {text}: expected CODE=NUMBER or a NUMBER for all diagnoses") from None
        if equals and code not in taxonomy:
            raise InputError(f"--at {text}: {code!r} is not one of {some(taxonomy.codes, 12)}")
        if not 0 < point < 1:
            raise InputError(f"--at {text}: an operating point lies between 0 and 1")
        (for_one if equals else for_all).update({code: point} if equals else dict.fromkeys(taxonomy.codes, point))
    return for_all | for_one


def read_strangeness(paths: Sequence[Path], ids: Sequence[str]) -> Float[np.ndarray, " cases"]:
    """Ranks in the order of `ids`, from what `classify --json` printed or CSV files with the columns image and ood.

    Raises TableError, naming the file, for one that is neither, an image that stands twice, or one that is missing.
    """
    found: dict[str, float] = {}
    for path in paths:
        for image, rank in _ranks(path):
            if image in found:
                raise TableError(f"{path}: {image} stands twice; give every image once")
            found[image] = rank
    missing = [i for i in ids if i not in found]
    if missing:
        where = some(paths)
        raise TableError(f"{where}: no strangeness of {some(missing)}; a bundle without statistics gives none")
    return np.array([found[i] for i in ids], float)


def _ranks(path: Path) -> list[tuple[str, float]]:
    if path.suffix.lower() == ".json":
        try:
            told = json.loads(path.read_bytes())
            return [(str(one["image"]), float(one["ood"])) for one in told if one["ood"] is not None]
        except OSError as error:
            raise TableError(f"{path}: cannot be read ({why(error)}); check the path") from None
        except (ValueError, KeyError, TypeError) as error:
            raise TableError(f"{path}: not what `dermoscope classify --json` prints ({error})") from None
    table = read_table(path)
    if not {"image", "ood"} <= set(table.columns):
        raise TableError(f"{path}: columns {some(table.columns)}; needed are image and ood")
    try:
        return [(row["image"], float(row["ood"])) for row in table.rows if row["ood"]]
    except ValueError as error:
        raise TableError(f"{path}: {error} in the column ood; it needs numbers in [0, 1]") from None


def check_images(scores: Scores, path: Path) -> None:
    """Whether a submission holds exactly the images of a list: a CSV with a column image, the truth for example.

    Raises TableError, naming images that are missing or too many.
    """
    table = read_table(path)
    if "image" not in table.columns:
        raise TableError(f"{path}: no column image; it has {some(table.columns)}")
    wanted = {row["image"] for row in table.rows}
    missing, extra = sorted(wanted - set(scores.ids)), sorted(set(scores.ids) - wanted)
    for what, images in (("without a prediction", missing), ("that the list does not have", extra)):
        if images:
            raise TableError(f"{path}: {len(images)} images {what}: {some(images)}; the scorer takes exactly those")
