"""Calibration: probabilities that mean what they say, on cases that were not trained on.

What is calibrated is the mean over members and views: the mean of calibrated members is under-confident (Rahaman &
Thiery 2020, arXiv 2007.08792), so that calibrating each of them beforehand only moves the error.

No probability is exactly 0, after which one miss would make the log-loss infinite: whatever comes in or goes out is at
least `SMALLEST`, before rows are scaled to sum to 1; `Isotonic` has a limit of its own besides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.taxonomy import Taxonomy

SMALLEST = 1e-12
"""Smaller probabilities count as this one: far below what any number of cases could tell from 0."""


def logs_of(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Logarithms of probabilities, those below `SMALLEST` taken as that."""
    return np.asarray(np.log(np.maximum(values, SMALLEST)))


def softmax(z: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """`exp(z)` scaled to sum to 1 over the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Scaling:
    """`softmax(scale * log p + bias)`.

    `scale` and `bias` are [diagnoses]. Equal scales without bias are a temperature of 1 / scale (Guo et al. 2017), with
    biases bias-corrected temperature scaling (Alexandari, Kundaje & Shrikumar 2020), free scales vector scaling (Guo et
    al. 2017, restricted to scales above 0: more of a diagnosis never makes it less probable).

    The arrays are copied and read-only.

    Raises ValueRuleError for lengths that differ, a scale that is not above 0 or a bias that is not finite.
    """

    scale: Float[np.ndarray, " diagnoses"]
    bias: Float[np.ndarray, " biases"]

    def __post_init__(self) -> None:
        for name in ("scale", "bias"):
            object.__setattr__(self, name, _read_only(getattr(self, name)))
        if self.scale.shape != self.bias.shape or self.scale.ndim != 1:
            raise ValueRuleError(f"scales of shape {self.scale.shape} and biases of shape {self.bias.shape}")
        if not (np.isfinite(self.scale) & (self.scale > 0)).all():
            raise ValueRuleError("a calibration scale is not above 0")
        if not np.isfinite(self.bias).all():
            raise ValueRuleError("a calibration bias is not finite")

    @classmethod
    def identity(cls, diagnoses: int) -> "Scaling":
        """Leaves probabilities as they are."""
        return cls(np.ones(diagnoses), np.zeros(diagnoses))

    def apply(self, mean: Probabilities) -> Probabilities:
        """The calibrated probabilities. Raises ValueRuleError for another number of diagnoses."""
        _check_length(len(self.scale), mean.taxonomy)
        found = softmax(self.scale * logs_of(mean.values) + self.bias)
        return Probabilities(mean.ids, mean.taxonomy, _above_zero(found))


@dataclass(frozen=True, eq=False)
class Isotonic:
    """One rising curve per diagnosis from its probability to its share, then rows are scaled to sum to 1.

    One-vs-rest as in Zadrozny & Elkan 2002 (KDD). `at` and `share` hold arrays [knots], one of each per
    diagnosis, of any length: the share at a probability, straight lines between, level outside.

    The arrays are copied and read-only.

    Raises ValueRuleError where knots are missing or not ascending, or shares fall or are not in (0, 1).
    """

    at: tuple[Float[np.ndarray, " _"], ...]
    share: tuple[Float[np.ndarray, " _"], ...]

    def __post_init__(self) -> None:
        for name in ("at", "share"):
            object.__setattr__(self, name, tuple(_read_only(values) for values in getattr(self, name)))
        if len(self.at) != len(self.share):
            raise ValueRuleError(f"knots for {len(self.at)} diagnoses and shares for {len(self.share)}")
        for at, share in zip(self.at, self.share, strict=True):
            if at.shape != share.shape or at.ndim != 1 or at.size == 0:
                raise ValueRuleError(f"{at.size} knots and {share.size} shares of one diagnosis")
            if not ((np.diff(at) > 0).all() and (np.diff(share) >= 0).all()):
                raise ValueRuleError("knots of a calibration curve must ascend and its shares must not fall")
            if not (np.isfinite(at).all() and (share > 0).all() and (share < 1).all()):
                raise ValueRuleError("shares of a calibration curve must be above 0 and below 1")

    def apply(self, mean: Probabilities) -> Probabilities:
        """The calibrated probabilities. Raises ValueRuleError for another number of diagnoses."""
        _check_length(len(self.at), mean.taxonomy)
        columns = zip(mean.values.T, self.at, self.share, strict=True)
        shares = np.stack([np.interp(p, at, share) for p, at, share in columns], axis=1)
        return Probabilities(mean.ids, mean.taxonomy, _above_zero(shares))


Calibrator = Scaling | Isotonic
"""What a bundle applies to the mean over members and views."""


def fit_temperature(mean: Probabilities, labels: Int[np.ndarray, " cases"]) -> Scaling:
    """Temperature scaling (Guo et al. 2017): one scale, no bias, so that the most probable diagnosis stays.

    Minimises the negative log-likelihood of `labels` (columns of the taxonomy) plus a normal prior with standard
    deviation 1 on the log of the scale.

    Raises ValueRuleError where labels do not fit or there is no case.
    """
    return _fit_scaling(mean, labels, None, 0.5, free=())


def fit_bias_corrected(
    mean: Probabilities,
    labels: Int[np.ndarray, " cases"],
    expected_bias: Float[np.ndarray, " diagnoses"] | None = None,
    *,
    spread: float = 0.5,
) -> Scaling:
    """Bias-corrected temperature scaling (Alexandari, Kundaje & Shrikumar 2020): one scale, a bias per diagnosis.

    As `fit_temperature`, plus a normal prior with standard deviation `spread` on each bias around `expected_bias`: a
    diagnosis with a handful of cases stays near what its share in the training draws implies, a frequent one goes where
    its cases say. Biases are centred.

    Raises ValueRuleError where labels do not fit or there is no case.
    """
    return _fit_scaling(mean, labels, expected_bias, spread, free=("bias",))


def fit_vector(
    mean: Probabilities,
    labels: Int[np.ndarray, " cases"],
    expected_bias: Float[np.ndarray, " diagnoses"] | None = None,
    *,
    spread: float = 0.5,
) -> Scaling:
    """Vector scaling (Guo et al. 2017): a scale and a bias per diagnosis.

    As `fit_bias_corrected`; besides, the log of each scale has a normal prior with standard deviation `spread` around
    that of the common one.

    Raises ValueRuleError where labels do not fit or there is no case.
    """
    return _fit_scaling(mean, labels, expected_bias, spread, free=("bias", "scale"))


def fit_isotonic(mean: Probabilities, labels: Int[np.ndarray, " cases"], *, at_least: int = 1000) -> Isotonic:
    """Isotonic regression of each diagnosis against the rest, by pooling adjacent violators.

    A curve that may take any rising shape follows every accident of few cases (Niculescu-Mizil & Caruana 2005 find it
    worse than a sigmoid below about 1,000), so fewer than `at_least` are refused. Shares are kept from 1 / (n + 2) to
    1 - 1 / (n + 2): what the rule of succession says of a diagnosis seen never, or always, in n cases.

    Raises ValueRuleError where labels do not fit, cases are too few or a diagnosis has none.
    """
    from scipy.optimize import isotonic_regression

    check_labels(mean.ids, mean.taxonomy, labels)
    n = len(mean)
    if n < at_least:
        raise ValueRuleError(
            f"isotonic calibration needs {at_least} cases and there are {n}; fit a temperature, biases or a vector"
        )
    absent = [code for k, code in enumerate(mean.taxonomy.codes) if not (labels == k).any()]
    if absent:
        raise ValueRuleError(f"isotonic calibration needs a case of every diagnosis; there is none of {some(absent)}")
    knots = []
    for column in range(len(mean.taxonomy)):
        at, where, cases = np.unique(mean.values[:, column], return_inverse=True, return_counts=True)
        rate = np.bincount(where, labels == column) / cases
        share = np.clip(isotonic_regression(rate, weights=cases).x, 1 / (n + 2), 1 - 1 / (n + 2))
        # of a level stretch only its ends say anything
        same = share[1:] == share[:-1]
        inner = np.concatenate([[False], same[1:] & same[:-1], [False]])[: at.size]
        knots.append((at[~inner], share[~inner]))
    return Isotonic(tuple(at for at, _ in knots), tuple(share for _, share in knots))


def calibration_as_dict(calibration: Calibrator) -> dict[str, Any]:
    """JSON-able fields: `kind` (scaling or isotonic) and the arrays as lists of numbers."""
    if isinstance(calibration, Scaling):
        return {"kind": "scaling", "scale": calibration.scale.tolist(), "bias": calibration.bias.tolist()}
    at, share = ([values.tolist() for values in column] for column in (calibration.at, calibration.share))
    return {"kind": "isotonic", "at": at, "share": share}


def calibration_from_dict(fields: Mapping[str, Any]) -> Calibrator:
    """The reverse of `calibration_as_dict`. Raises ValueRuleError for another kind, or other fields than its own."""
    kinds: dict[Any, tuple[str, ...]] = {"scaling": ("scale", "bias"), "isotonic": ("at", "share")}
    kind = fields.get("kind")
    if kind not in kinds:
        raise ValueRuleError(f"a calibration of kind {kind!r}; there are {some(kinds)}")
    if set(fields) != {"kind", *kinds[kind]}:
        had = some(name for name in fields if name != "kind") or "none"
        raise ValueRuleError(f"the {kind} calibration needs the fields {some(kinds[kind])} and has {had}")
    try:
        if kind == "scaling":
            return Scaling(_read_only(fields["scale"]), _read_only(fields["bias"]))
        return Isotonic(*(tuple(_read_only(values) for values in fields[name]) for name in ("at", "share")))
    except (ValueError, TypeError) as error:
        raise ValueRuleError(f"the {kind} calibration does not hold lists of numbers: {error}") from None


def _fit_scaling(
    mean: Probabilities,
    labels: Int[np.ndarray, " cases"],
    expected_bias: Float[np.ndarray, " diagnoses"] | None,
    spread: float,
    free: tuple[str, ...],
) -> Scaling:
    from scipy.optimize import minimize

    check_labels(mean.ids, mean.taxonomy, labels)
    d = len(mean.taxonomy)
    expected = np.zeros(d) if expected_bias is None else expected_bias - expected_bias.mean()
    # the log of the common scale, how far each diagnosis is from it, the biases
    centre = np.concatenate([np.zeros(1 + d), expected])
    width = np.concatenate([[1.0], np.full(2 * d, spread)])
    moves = np.repeat([True, "scale" in free, "bias" in free], [1, d, d])
    logs, true = logs_of(mean.values), np.eye(d)[labels]

    def loss(moved: np.ndarray) -> tuple[float, np.ndarray]:
        theta = centre.copy()
        theta[moves] = moved
        scale = np.exp(theta[0] + theta[1 : 1 + d])
        p = softmax(scale * logs + theta[1 + d :])
        likelihood = np.log(np.maximum(p[np.arange(len(labels)), labels], 1e-300)).sum()
        of_scale = ((p - true) * logs).sum(axis=0) * scale
        slope = np.concatenate([[of_scale.sum()], of_scale, (p - true).sum(axis=0)])
        away = (theta - centre) / width
        return float((away**2).sum() / 2 - likelihood), (slope + away / width)[moves]

    found = centre.copy()
    found[moves] = minimize(loss, centre[moves], jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    bias = found[1 + d :]
    return Scaling(np.exp(found[0] + found[1 : 1 + d]), bias - bias.mean())


def _read_only(values: Any) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def _above_zero(values: np.ndarray) -> np.ndarray:
    kept = np.maximum(values, SMALLEST)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def _check_length(given: int, taxonomy: Taxonomy) -> None:
    if given != len(taxonomy):
        raise ValueRuleError(f"the calibration is of {given} diagnoses, {taxonomy.name} has {len(taxonomy)}")


def check_labels(ids: Sequence[str], taxonomy: Taxonomy, labels: Int[np.ndarray, " cases"]) -> None:
    """Raises ValueRuleError, naming cases, unless every case has one label that is a column of the taxonomy."""
    if len(labels) != len(ids) or len(labels) == 0:
        raise ValueRuleError(f"{len(labels)} labels for {len(ids)} cases; give one label per case")
    stray = (labels < 0) | (labels >= len(taxonomy))
    if stray.any():
        named = some(ids[row] for row in np.flatnonzero(stray).tolist())
        raise ValueRuleError(f"cases without a diagnosis of {taxonomy.name}: {named}; leave them out")
