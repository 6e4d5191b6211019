"""What a bundle says of images before and after refinement: `Prediction` and `Answer`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.taxonomy import Taxonomy

AnswerKind = Literal["refer", "low_concern", "cannot_assess"]

NO_CAUSE = "unstated"
"""The cause of an answer that was made without one."""

CAUSES: Mapping[str, str] = MappingProxyType(
    {
        "malignancy": "the probability of the diagnoses to refer reaches the threshold where the site sees them",
        "floor": "it reaches the threshold that no setting of the site lowers",
        "most_probable": "one of them is the most probable diagnosis under the prior shown",
        "none": "no suspicious feature found by the model",
        "intake.under_18": "a person under 18",
        "intake.nail": "a lesion of the nail",
        "intake.mucosa": "a lesion of the mucosa",
        "intake.palm_or_sole": "a lesion of palm or sole",
        "intake.scar": "a lesion in a scar",
        "intake.tattoo": "a lesion in a tattoo",
        "intake.already_biopsied": "a lesion that was biopsied before",
        "intake.dark_skin": "dark skin (Fitzpatrick V or VI)",
        "too_small": "too few pixels",
        "blurred": "out of focus",
        "too_dark": "too dark",
        "too_bright": "burnt out",
        "dark_corners": "dark corners",
        "hair": "hair over the lesion",
        "ink": "ink over the lesion",
        "ruler": "a ruler or a scale in the picture",
        "coloured": "a blue or green thing in the picture",
        "unlike": "unlike every image that the model was calibrated on",
        NO_CAUSE: "no cause was stated",
    }
)
"""Every cause that an answer may have: those to refer, low concern, those for which nothing can be said.

Other languages translate by the cause, the suspected diagnosis and the figures; `Answer.reasons` says it in English.
"""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Raw output of a model on a number of images.

    `logits` is [cases, views, diagnoses], the views of every member one after the other; `members` names the member of
    each view (empty: there is one). `embedding` is [cases, features] of the first member's first view (so that the
    number of views does not matter) or None where the model gives none; `quality` holds one mapping of named figures
    per case (`predict/quality.py` says which).

    The arrays are copied and read-only.

    Raises ValueRuleError where shapes do not fit, an id stands twice, or a logit is not finite.
    """

    ids: tuple[str, ...]
    taxonomy: Taxonomy
    logits: Float[np.ndarray, "cases views diagnoses"]
    embedding: Float[np.ndarray, "cases features"] | None = None
    quality: tuple[Mapping[str, float], ...] = ()
    members: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(self.ids))
        for name in ("logits", "embedding"):
            if getattr(self, name) is not None:
                array = np.array(getattr(self, name))
                array.flags.writeable = False
                object.__setattr__(self, name, array)
        cases, views, diagnoses = self.logits.shape
        if (cases, diagnoses) != (len(self.ids), len(self.taxonomy)) or (views == 0 and cases):
            raise ValueRuleError(f"logits {self.logits.shape} do not fit {len(self.ids)} ids x {len(self.taxonomy)}")
        if len(self.members) not in (0, views):
            raise ValueRuleError(f"members of {len(self.members)} views for {views} views")
        twice = [i for i, n in Counter(self.ids).items() if n > 1]
        if twice:
            raise ValueRuleError(f"ids stand more than once: {some(twice)}")
        for name, value in (("embedding", self.embedding), ("quality", self.quality or None)):
            if value is not None and len(value) != cases:
                raise ValueRuleError(f"{name} has {len(value)} rows for {cases} cases")
        broken = ~np.isfinite(self.logits).all(axis=(1, 2))
        if broken.any():
            raise ValueRuleError(f"logits are not finite: {some(self.ids[r] for r in np.flatnonzero(broken))}")

    def __len__(self) -> int:
        return len(self.ids)

    def probabilities(self, temperature: float = 1.0) -> Probabilities:
        """Softmax of the logits divided by `temperature` per view, then the arithmetic mean over views.

        Raises ValueRuleError for a temperature that is not finite and above 0.
        """
        if not (np.isfinite(temperature) and temperature > 0):
            raise ValueRuleError(f"a temperature of {temperature}; it must be finite and above 0")
        z = self.logits.astype(np.float64) / temperature
        z = np.exp(z - z.max(axis=2, keepdims=True))
        mean = (z / z.sum(axis=2, keepdims=True)).mean(axis=1)
        return Probabilities(self.ids, self.taxonomy, mean / mean.sum(axis=1, keepdims=True))

    def by_member(self) -> Mapping[str, "Prediction"]:
        """What each member says alone, in order of first appearance; one without a name where none is named."""
        if not self.members:
            return {"": self}
        columns = {name: [k for k, m in enumerate(self.members) if m == name] for name in dict.fromkeys(self.members)}
        return {name: self._columns(own) for name, own in columns.items()}

    def first_views(self, count: int) -> "Prediction":
        """The same with at most the first `count` views of every member."""
        names = self.members or ("",) * self.logits.shape[1]
        return self._columns([k for k, name in enumerate(names) if names[:k].count(name) < count])

    def _columns(self, kept: Sequence[int]) -> "Prediction":
        members = tuple(self.members[k] for k in kept) if self.members else ()
        return replace(self, logits=self.logits[:, list(kept)], members=members)


@dataclass(frozen=True)
class Answer:
    """What a reader is told of one case: the kind, the reasons in words, and the figures behind them.

    `cause` is what decided, one of `CAUSES`; `suspected` the code of the diagnosis that a referral is for, or None.
    Raises ValueRuleError without a reason, or for a cause that is not known.
    """

    kind: AnswerKind
    reasons: tuple[str, ...]
    figures: Mapping[str, float] = field(default_factory=dict)
    cause: str = NO_CAUSE
    suspected: str | None = None

    def __post_init__(self) -> None:
        if not self.reasons:
            raise ValueRuleError(f"an answer ({self.kind}) needs at least one reason")
        if self.cause not in CAUSES:
            raise ValueRuleError(f"an answer of cause {self.cause!r}; there are {some(CAUSES, len(CAUSES))}")
