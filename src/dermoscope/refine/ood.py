"""How unlike the training data an image is (experimental as a limit for refusing an answer).

Two scores, both higher where an image is stranger: the Mahalanobis distance of its embedding to the nearest diagnosis,
and the energy of its logits. What each is worth was measured by `studies/ood.py`: `docs/concepts/unknown.md`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.errors import ValueRuleError


@dataclass(frozen=True, eq=False)
class OutOfDistribution:
    """Mahalanobis distance to the nearest diagnosis (Lee et al. 2018, NeurIPS), in a whitened subspace.

    `projection` [features, k] whitens embeddings around `centre` [features] by the covariance within diagnoses; `means`
    [diagnoses, k] are the class means there; `quantiles` [q] are evenly spaced quantiles (0 to 1) of the distance on
    the calibration role, by which a distance becomes a rank.
    """

    centre: Float[np.ndarray, " features"]
    projection: Float[np.ndarray, "features k"]
    means: Float[np.ndarray, "diagnoses k"]
    quantiles: Float[np.ndarray, " q"]

    def distance(self, embedding: Float[np.ndarray, "cases features"]) -> Float[np.ndarray, " cases"]:
        """Distance to the nearest class mean, in within-class standard deviations."""
        z = (embedding - self.centre) @ self.projection
        squared = ((z[:, None, :] - self.means[None]) ** 2).sum(axis=2)
        return np.sqrt(squared.min(axis=1))

    def rank(self, embedding: Float[np.ndarray, "cases features"]) -> Float[np.ndarray, " cases"]:
        """Share of calibration cases that are less unusual, in [0, 1]; 1 is beyond all of them."""
        shares = np.linspace(0, 1, len(self.quantiles))
        return np.interp(self.distance(embedding), self.quantiles, shares)


def energy(logits: Float[np.ndarray, "cases diagnoses"], temperature: float = 1.0) -> Float[np.ndarray, " cases"]:
    """Energy of the logits, -T log sum exp(logits / T) (Liu et al. 2020, NeurIPS, eq. 4).

    It is low where some diagnosis has a high logit. Raises ValueRuleError for a temperature that is not above 0.
    """
    if not 0 < temperature < np.inf:
        raise ValueRuleError(f"temperature {temperature}: it must be a number above 0")
    scaled = logits.astype(np.float64) / temperature
    most = scaled.max(axis=1)
    return -temperature * (most + np.log(np.exp(scaled - most[:, None]).sum(axis=1)))


def fit_limit(known: Float[np.ndarray, " cases"], share: float = 0.95) -> float:
    """The score that at least `share` of known cases do not exceed: what is above it is called unknown.

    Raises ValueRuleError without cases, or for a share outside 0 to 1.
    """
    if len(known) == 0:
        raise ValueRuleError("no known cases to set a limit by; give at least one")
    if not 0 <= share <= 1:
        raise ValueRuleError(f"a share of {share} of the known cases; it must be 0 to 1")
    return float(np.quantile(known, share, method="higher"))


def fit_ood(
    training: Float[np.ndarray, "cases features"],
    labels: Int[np.ndarray, " cases"],
    calibration: Float[np.ndarray, "others features"],
    *,
    dimensions: int = 64,
) -> OutOfDistribution:
    """Fit on embeddings of training cases with their diagnoses, rank on those of calibration cases.

    Raises ValueRuleError with fewer than two training cases per dimension, or without calibration cases.
    """
    if len(training) < 2 * dimensions:
        raise ValueRuleError(f"{len(training)} embeddings are too few for {dimensions} dimensions: give twice as many")
    if len(calibration) == 0:
        raise ValueRuleError("no calibration embeddings to rank distances by; give at least one")
    centre = training.mean(axis=0)
    kinds = np.unique(labels)
    means = np.stack([training[labels == k].mean(axis=0) for k in kinds])
    within = training - means[np.searchsorted(kinds, labels)]
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov((training - centre).T)))
    basis = vectors[:, np.argsort(values)[::-1][:dimensions]]
    inner = np.atleast_2d(np.cov((within @ basis).T))
    # a ridge in proportion: the scale of an embedding is the network's own
    inner += 1e-6 * np.trace(inner) / len(inner) * np.eye(len(inner))
    whitening = np.linalg.cholesky(np.linalg.inv(inner))
    projection = (basis @ whitening).astype(np.float32)
    fitted = OutOfDistribution(
        centre.astype(np.float32), projection, ((means - centre) @ projection).astype(np.float32), np.zeros(1)
    )
    quantiles = np.quantile(fitted.distance(calibration), np.linspace(0, 1, 201))
    return OutOfDistribution(fitted.centre, fitted.projection, fitted.means, quantiles)
