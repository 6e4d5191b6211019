"""Calibration: logits whose softmax means what it says, on cases that were not trained on."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Calibration:
    """`z / temperature + bias`, applied to the logits of every view before the softmax.

    `bias` is [diagnoses]; all zero makes this plain temperature scaling (Guo et al. 2017).

    The array is copied and read-only.

    Raises ValueRuleError for a temperature that is not above 0 or a bias that is not finite.
    """

    temperature: float
    bias: Float[np.ndarray, " diagnoses"]

    def __post_init__(self) -> None:
        bias = np.array(self.bias, dtype=np.float64)
        bias.flags.writeable = False
        object.__setattr__(self, "bias", bias)
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ValueRuleError(f"temperature {self.temperature} is not above 0")
        if not np.isfinite(self.bias).all():
            raise ValueRuleError("a calibration bias is not finite")

    def apply(self, prediction: Prediction) -> Prediction:
        """The same prediction with calibrated logits.

        Raises ValueRuleError when there is not one bias per diagnosis of the prediction.
        """
        if self.bias.shape != (len(prediction.taxonomy),):
            raise ValueRuleError(
                f"the calibration has {self.bias.size} biases for the {len(prediction.taxonomy)} diagnoses of "
                f"{prediction.taxonomy.name}"
            )
        return replace(prediction, logits=prediction.logits.astype(np.float64) / self.temperature + self.bias)


def fit_calibration(
    prediction: Prediction,
    labels: Int[np.ndarray, " cases"],
    expected_bias: Float[np.ndarray, " diagnoses"] | None = None,
    *,
    spread: float = 0.5,
) -> Calibration:
    """Bias-corrected temperature scaling (Alexandari, Kundaje & Shrikumar 2020) by maximum a posteriori likelihood.

    Minimises the negative log-likelihood of `labels` (columns of the taxonomy) under the mean over views, plus a normal
    prior with standard deviation `spread` on each bias around `expected_bias`: a diagnosis with a handful of cases
    stays near what its share in the training draws implies, a frequent one goes where its cases say. Biases are
    centred.

    Raises ValueRuleError where labels do not fit or there is no case.
    """
    from scipy.optimize import minimize

    diagnoses = len(prediction.taxonomy)
    _check_labels(prediction, labels)
    centre = np.zeros(diagnoses) if expected_bias is None else expected_bias - expected_bias.mean()
    logits = prediction.logits.astype(np.float64)
    rows = np.arange(len(labels))

    def loss(parameters: np.ndarray) -> float:
        z = logits * np.exp(-parameters[0]) + parameters[1:]
        z = z - z.max(axis=2, keepdims=True)
        e = np.exp(z)
        mean = (e / e.sum(axis=2, keepdims=True)).mean(axis=1)
        likelihood = np.log(np.maximum(mean[rows, labels], 1e-300)).sum()
        penalty = (((parameters[1:] - centre) / spread) ** 2).sum() / 2 + parameters[0] ** 2 / 2
        return float(penalty - likelihood)

    found = minimize(loss, np.concatenate([[0.0], centre]), method="L-BFGS-B")
    return Calibration(float(np.exp(found.x[0])), found.x[1:] - found.x[1:].mean())


def _check_labels(prediction: Prediction, labels: Int[np.ndarray, " cases"]) -> None:
    if len(labels) != len(prediction) or len(labels) == 0:
        raise ValueRuleError(f"{len(labels)} labels for {len(prediction)} cases; calibration needs one label per case")
    stray = (labels < 0) | (labels >= len(prediction.taxonomy))
    if stray.any():
        named = some(prediction.ids[row] for row in np.flatnonzero(stray))
        raise ValueRuleError(f"cases without a diagnosis of {prediction.taxonomy.name}: {named}; leave them out")
