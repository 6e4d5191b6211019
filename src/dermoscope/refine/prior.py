"""Prior shift: from how common diagnoses were where a model was calibrated to how common they are elsewhere.

A shifted probability is calibrated nowhere that was looked at: it is right where the target is the true mix and lesions
look as they did at home. It is called shifted, and only what stands under the calibration prior is called calibrated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from dermoscope.core.errors import InputError, ValueRuleError, some
from dermoscope.core.estimate import Estimate
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import ISIC2019, ISIC2019_TO_ISIC2018, Taxonomy

ESTIMATE = "estimate"
"""What `--prior` is given for the mix of the images themselves, see `estimate_prior`."""

FEWEST = 100
"""Images from which a prior is estimated at least: a diagnosis of 5 % then has about five."""


@dataclass(frozen=True)
class Setting:
    """A mix of diagnoses that can be asked for by name: counted images in the order of ISIC 2019, and who counted."""

    counts: tuple[int, ...]
    source: str


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "ham10000": Setting(
            (1113, 6705, 514, 130, 1099, 115, 142, 197),
            "HAM10000: 10,015 images of a university clinic in Vienna and a practice in Queensland, enriched with rare "
            "diagnoses (Tschandl, Rosendahl & Kittler 2018; akiec split by the ISIC 2019 labels of the same images)",
        ),
        "bcn20000": Setting(
            (2857, 4206, 2809, 737, 1138, 124, 111, 431),
            "BCN20000: 12,413 images of a university hospital in Barcelona (Hernández-Pérez et al. 2024; counted in "
            "the ISIC 2019 training labels where the lesion id begins with BCN)",
        ),
        "isic2019": Setting(
            (4522, 12875, 3323, 867, 2624, 239, 253, 628),
            "ISIC 2019, training: 25,331 images of HAM10000, BCN20000 and MSK (ISIC_2019_Training_GroundTruth.csv)",
        ),
    }
)
"""All are data sets, which were selected: we know of no published mix of an unselected practice with figures for all
eight diagnoses."""

NAMES = tuple(SETTINGS)


def named_prior(name: str, taxonomy: Taxonomy) -> Prior:
    """The mix of one of `SETTINGS` as a prior over ISIC 2019 or ISIC 2018.

    Raises InputError, listing the settings with their sources, for another name; and for another taxonomy.
    """
    if name not in SETTINGS:
        listed = "".join(f"\n  {known}: {setting.source}" for known, setting in SETTINGS.items())
        raise InputError(
            f"no prior {name!r}; there are calibration, uniform, training, {ESTIMATE}, {some(NAMES)}, or give a file."
            + listed
        )
    counts = np.array(SETTINGS[name].counts, dtype=float)
    if taxonomy.codes == ISIC2019.codes:
        return Prior.from_counts(name, taxonomy, counts)
    if taxonomy.codes == ISIC2019_TO_ISIC2018.target.codes:
        return Prior.from_counts(name, taxonomy, counts @ ISIC2019_TO_ISIC2018.matrix)
    raise InputError(f"prior {name!r} is not known for {taxonomy.name}; give a file with a share of every diagnosis")


def shift_prior(probabilities: Probabilities, source: Prior, target: Prior) -> Probabilities:
    """Posterior under another prior: `p'_c = p_c (t_c / s_c) / sum_k p_k (t_k / s_k)`.

    `source` is the prior under which the probabilities are calibrated, `target` that of the place they are for. With a
    uniform target this is the rule of Steppan & Hanke 2021, whose weights w_c = N / n_c over training counts n_c are
    t_c / s_c but for a constant that cancels. In general it is eq. 2.4 of Saerens, Latinne & Decaestecker 2002 (Neural
    Computation 14:21). Shifting there and back is the identity, shifting to the source changes nothing.

    Raises ValueRuleError where the three do not share one taxonomy.
    """
    _check_taxonomies(probabilities, source, target)
    weighted = probabilities.values * (target.values / source.values)
    shifted = weighted / weighted.sum(axis=1, keepdims=True)
    return Probabilities(probabilities.ids, probabilities.taxonomy, shifted)


@dataclass(frozen=True)
class EstimatedPrior:
    """A prior estimated from unlabelled images: each share with its interval, and how the iteration ended."""

    prior: Prior
    shares: Mapping[str, Estimate]
    iterations: int
    converged: bool


def estimate_prior(
    probabilities: Probabilities,
    source: Prior,
    *,
    at_least: int = FEWEST,
    resamples: int = 200,
    seed: int = 0,
    most: int = 2000,
) -> EstimatedPrior:
    """The mix of diagnoses among images without labels (Saerens, Latinne & Decaestecker 2002, eq. 2.9).

    Expectation maximisation from `source`, the prior under which the probabilities are calibrated: shift to the present
    estimate, take the mean over images, until no share moves by more than 1e-6. One case in the mix of `source` is
    added, so that no share becomes 0. It is right where lesions of a diagnosis look as they did at home: what the model
    mistakes otherwise is taken for another mix. Intervals are percentiles of a bootstrap over images; they hold the
    chance of the draw, not errors of the model, and are too narrow where images share a lesion.

    Raises ValueRuleError for fewer than `at_least` images or a prior over another taxonomy.
    """
    n = len(probabilities)
    check_enough(n, at_least)
    _check_taxonomies(probabilities, source, source)
    likelihood = probabilities.values / source.values
    found, iterations, converged = _maximise(likelihood, np.ones((n, 1)), source.values, most)
    # 2 million numbers at once: a batch of any size stays within memory
    block = max(1, 2_000_000 // n)
    rng = np.random.default_rng(seed)
    draws = [
        _maximise(likelihood, rng.multinomial(n, np.full(n, 1 / n), min(block, resamples - k)).T, found[0], most)[0]
        for k in range(0, resamples, block)
    ]
    shares = {}
    for column, code in enumerate(source.taxonomy.codes):
        value = float(found[0, column])
        if not draws:
            shares[code] = Estimate(value, None, None, "no interval", "image", n)
            continue
        low, high = np.quantile(np.concatenate(draws)[:, column], [0.025, 0.975])
        shares[code] = Estimate(value, min(float(low), value), max(float(high), value), "bootstrap", "image", n)
    prior = Prior(f"estimated from {n} images", source.taxonomy, found[0] / found[0].sum())
    return EstimatedPrior(prior, shares, iterations, converged)


def check_enough(images: int, at_least: int = FEWEST) -> None:
    """Raises ValueRuleError for fewer images than a prior can be estimated from."""
    if images < at_least:
        raise ValueRuleError(
            f"a prior cannot be estimated from {images} images: give at least {at_least}, or a prior by name or file"
        )


def _maximise(
    likelihood: Float[np.ndarray, "cases diagnoses"], counts: np.ndarray, start: np.ndarray, most: int
) -> tuple[Float[np.ndarray, "resamples diagnoses"], int, bool]:
    """EM for every column of `counts` [cases, resamples] at once."""
    n = len(likelihood)
    shares = np.tile(start, (counts.shape[1], 1))
    for step in range(1, most + 1):
        seen = np.maximum(likelihood @ shares.T, 1e-300)
        new = (shares * ((counts / seen).T @ likelihood) + start) / (n + 1)
        moved = np.abs(new - shares).max()
        shares = new
        if moved < 1e-6:
            return shares, step, True
    return shares, most, False


def _check_taxonomies(probabilities: Probabilities, source: Prior, target: Prior) -> None:
    if len({probabilities.taxonomy.codes, source.taxonomy.codes, target.taxonomy.codes}) > 1:
        raise ValueRuleError(
            f"cannot shift {probabilities.taxonomy.name} from a prior over {source.taxonomy.name} "
            f"to one over {target.taxonomy.name}"
        )
