"""From raw logits to the probabilities that are shown, as a value: what was evaluated is what is served.

member -> views -> mean over members -> calibration -> prior shift
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.prediction import Prediction
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.refine.calibrate import Calibrator
from dermoscope.refine.ensemble import combine
from dermoscope.refine.prior import shift_prior


@dataclass(frozen=True, eq=False)
class MemberRule:
    """How one member enters the mean: `logits / temperature + bias` in every view, and its weight.

    Temperature and `bias` [diagnoses] (None: none) bring members to one prior before their mean, as Steppan & Hanke
    2021 correct each model before theirs. They make no calibration: that is fitted to the mean.

    Raises ValueRuleError for a weight or temperature that is not above 0, or a bias that is not finite.
    """

    weight: float = 1.0
    temperature: float = 1.0
    bias: Float[np.ndarray, " diagnoses"] | None = None

    def __post_init__(self) -> None:
        for name in ("weight", "temperature"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueRuleError(f"a member's {name} of {value}; it must be above 0")
        if self.bias is not None:
            bias = np.array(self.bias, dtype=np.float64)
            bias.flags.writeable = False
            object.__setattr__(self, "bias", bias)
            if not np.isfinite(bias).all():
                raise ValueRuleError("a member's bias is not finite")

    def probabilities(self, prediction: Prediction) -> Probabilities:
        """Mean over views of the softmax. Raises ValueRuleError for a bias over another number of diagnoses."""
        bias = np.zeros(len(prediction.taxonomy)) if self.bias is None else self.bias
        if bias.shape != (len(prediction.taxonomy),):
            raise ValueRuleError(
                f"{bias.size} biases for the {len(prediction.taxonomy)} diagnoses of {prediction.taxonomy.name}"
            )
        logits = prediction.logits.astype(np.float64) / self.temperature + bias
        return replace(prediction, logits=logits).probabilities()


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Everything between logits and probabilities.

    `members` holds a rule for every member by name, `kind` is the mean over them (`ensemble.KINDS`; over views it is
    always arithmetic), `calibration` is applied to that mean, and `calibration_prior` says how common diagnoses were
    where it was fitted.

    Raises ValueRuleError where there is no member.
    """

    members: Mapping[str, MemberRule]
    kind: str
    calibration: Calibrator
    calibration_prior: Prior = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", MappingProxyType(dict(self.members)))
        if not self.members:
            raise ValueRuleError("a pipeline without a member")

    def of_members(self, prediction: Prediction) -> dict[str, Probabilities]:
        """What each member says alone, its views averaged; not calibrated.

        Raises ValueRuleError where the prediction has other members than the pipeline.
        """
        apart = prediction.by_member()
        if list(apart) == [""] and len(self.members) == 1:
            apart = {next(iter(self.members)): prediction}
        if set(apart) != set(self.members):
            raise ValueRuleError(f"a prediction of {some(apart)} for a pipeline of {some(self.members)}")
        return {name: self.members[name].probabilities(apart[name]) for name in self.members}

    def mean(self, prediction: Prediction) -> Probabilities:
        """Mean over members of the mean over views, not calibrated."""
        found = self.of_members(prediction)
        stacked = np.stack([p.values for p in found.values()], axis=1)
        weights = np.array([self.members[name].weight for name in found])
        return Probabilities(prediction.ids, prediction.taxonomy, combine(stacked, weights, self.kind))

    def calibrated(self, prediction: Prediction) -> Probabilities:
        """Probabilities that mean what they say where diagnoses are as common as in `calibration_prior`."""
        return self.calibration.apply(self.mean(prediction))

    def shifted(self, prediction: Prediction, target: Prior) -> Probabilities:
        """Calibrated probabilities under another prior; with `calibration_prior` itself they stay as they are.

        Under any other prior they are no longer calibrated in the place where they were measured: they answer what
        would hold if diagnoses were that common.
        """
        calibrated = self.calibrated(prediction)
        # by value: a prior from elsewhere may have the same name
        if np.array_equal(target.values, self.calibration_prior.values):
            return calibrated
        return shift_prior(calibrated, self.calibration_prior, target)
