"""What a recipe can set: every setting with its bounds, and settings given as text."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

from dermoscope.core.errors import RecipeError, some
from dermoscope.data.preprocess import Step, parse_steps
from dermoscope.predict.views import VIEWS
from dermoscope.train.augment import Augmentation

Phases = tuple[tuple[int, int], ...]
"""(epochs, side of the input in px), one after the other: small pictures first make many epochs affordable
(progressive resizing; Tan & Le 2021, EfficientNetV2, section 4)."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    `size` is the side of the exported input in px. `head` trains the new head on the frozen backbone, `phases` train
    all layers, each with a one-cycle schedule that peaks at `head_rate` / `rate` (for a batch of `batch`). With `rates`
    all layers go through `phases` once for each of them, instead of once at `rate`. `average` goes on at `average_rate`
    with mixup and keeps the equal average of all its steps: a small data set is learnt by heart before the features
    are good, and averaging finds a flatter minimum (Izmailov et al. 2018). `ship` does the same at `ship_rate` on the
    roles training + validation, after every choice has been made on validation.
    `balance` is the exponent b of class balancing: a diagnosis with n images is drawn in proportion to n^(1-b) (0: as
    it comes, 1: every diagnosis equally often). `ema` is the decay of the averaged weights per step (0: off) until
    `average` begins. `mixup` is the alpha of mixup in `average` and `ship` (Zhang et al. 2018; 0: off). `views` and
    `prior` are the bundle's defaults at prediction. `masked` restricts the softmax of a case to the diagnoses that its
    source can hold (`CaseSet.holds`). `preprocessing` names the steps of `data/preprocess.py` that every picture goes
    through, in training and at prediction. `full` is what `--full` changes, for those with a GPU.

    Raises RecipeError, naming the setting, for a value that no training can be run with.
    """

    name: str
    kind: Literal["finetune", "probe"] = "finetune"
    backbone: str = "tf_efficientnet_lite0"
    pretrained: bool = True
    size: int = 192
    head: Phases = ((1, 128),)
    phases: Phases = ((8, 128), (6, 160), (4, 192), (2, 224))
    average: Phases = ((7, 192),)
    ship: Phases = ((2, 192),)
    batch: int = 32
    head_rate: float = 3e-3
    rate: float = 1e-3
    rates: tuple[float, ...] = ()
    average_rate: float = 4e-4
    ship_rate: float = 2e-4
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    balance: float = 0.6
    ema: float = 0.998
    mixup: float = 0.4
    dropout: float = 0.2
    views: int = 8
    prior: str = "uniform"
    masked: bool = True
    preprocessing: tuple[str, ...] = ()
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    full: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (needed, fits) in _RULES.items():
            if not fits(getattr(self, name)):
                raise RecipeError(f"setting {name}={getattr(self, name)!r}: it must be {needed}")
        parse_steps(self.preprocessing)
        if self.kind == "probe" and self.augmentation.artefact_p > 0:
            raise RecipeError(
                f"recipe {self.name}: artefact_p={self.augmentation.artefact_p:g}, but a head on frozen features is "
                "trained without random variation; draw artefacts with a recipe that fine-tunes (kind=finetune)"
            )

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that `preprocessing` names."""
        return parse_steps(self.preprocessing)

    @property
    def sides(self) -> tuple[int, ...]:
        """Every side of the input in px that the network has to take."""
        phases = (*self.head, *self.phases, *self.average, *self.ship)
        return tuple(sorted({self.size, *(side for _, side in phases)}))

    def as_dict(self) -> dict[str, Any]:
        """Every setting as JSON-able values; what came later only where it is used, so that older run cards compare."""
        values = {**asdict(self), "full": dict(self.full)}
        for name in ("preprocessing", "rates"):
            if not values[name]:
                del values[name]
        if not self.augmentation.vertical:
            del values["augmentation"]["vertical"]
        if not self.augmentation.artefact_p:
            for name in ("artefacts", "artefact_p", "artefact_most"):
                del values["augmentation"][name]
        return values

    def with_full(self) -> "Recipe":
        """The same recipe with the settings that `--full` stands for."""
        return replace(self, **self.full)

    def with_settings(self, settings: Mapping[str, str]) -> "Recipe":
        """The recipe with settings given as text (`phases=2x128,1x224`, `augmentation.artefacts=ink/ruler`).

        Raises RecipeError for a name that the recipe does not have, a text that is not of its kind, or artefacts that
        would never be drawn for want of an `artefact_p`.
        """
        out = self
        varied = {}
        for key, text in settings.items():
            if key.startswith("augmentation."):
                varied[key.removeprefix("augmentation.")] = text
            else:
                out = _changed(out, {key: text})
        if not varied:
            return out
        augmentation = _changed(out.augmentation, varied)
        idle = [f"{name}={varied[name]}" for name in ("artefacts", "artefact_most") if varied.get(name)]
        if idle and not augmentation.artefact_p and "artefact_p" not in varied:
            raise RecipeError(
                f"augmentation has {some(idle)} and artefact_p=0, so that none is drawn; say on what share of the "
                "pictures: augmentation.artefact_p=0.3"
            )
        return replace(out, augmentation=augmentation)


def _possible(phases: Phases) -> bool:
    return all(epochs > 0 and 16 <= side <= 4096 for epochs, side in phases)


_RULES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "kind": ("finetune or probe", lambda v: v in ("finetune", "probe")),
    "size": ("32 to 4096 px", lambda v: 32 <= v <= 4096),
    "head": ("epochs x side, or empty", _possible),
    "phases": ("epochs x side", lambda v: len(v) > 0 and _possible(v)),
    "average": ("epochs x side, or empty", _possible),
    "ship": ("epochs x side, or empty", _possible),
    "batch": ("2 or more", lambda v: v >= 2),  # one picture has no batch statistics
    **dict.fromkeys(
        ("head_rate", "rate", "average_rate", "ship_rate"), ("a number above 0", lambda v: 0 < v < math.inf)
    ),
    **dict.fromkeys(("weight_decay", "mixup"), ("0 or more", lambda v: 0 <= v < math.inf)),
    **dict.fromkeys(("label_smoothing", "ema", "dropout"), ("at least 0 and below 1", lambda v: 0 <= v < 1)),
    "rates": ("numbers above 0, or empty", lambda v: all(0 < rate < math.inf for rate in v)),
    "balance": ("0 to 1", lambda v: 0 <= v <= 1),
    "views": (f"1 to {len(VIEWS)}", lambda v: 1 <= v <= len(VIEWS)),
    "prior": ("calibration, uniform or training", lambda v: v in ("calibration", "uniform", "training")),
    "seed": ("0 or more", lambda v: v >= 0),
}
"""What a setting must be, in words and as a test: a mistake must show before the training, not after it."""

_PHASES = ("head", "phases", "average", "ship")

T = TypeVar("T", bound="Recipe | Augmentation")


def _changed(value: T, texts: Mapping[str, str]) -> T:
    """All at once, for some settings fit only together."""
    names = [f.name for f in fields(value) if not isinstance(getattr(value, f.name), Mapping | Augmentation)]
    for key in texts:
        if key not in names:
            raise RecipeError(f"no setting {key!r}; settings are {some(names, 40)}")
    parsed = {key: _parsed(key, text, getattr(value, key)) for key, text in texts.items()}
    return replace(value, **parsed)  # type: ignore[arg-type]


def _parsed(key: str, text: str, now: Any) -> Any:
    try:
        if isinstance(now, bool):
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if key in _PHASES:
            pairs = [part.split("x") for part in text.split(",") if text]
            return tuple((int(epochs), int(side)) for epochs, side in pairs)
        if key == "preprocessing":
            return tuple(step.text for step in parse_steps(text))
        if key == "artefacts":
            return tuple(part.strip() for part in text.replace(",", "/").split("/") if part.strip())
        if key == "rates":
            return tuple(float(part) for part in text.split(",") if part)
        if isinstance(now, tuple):
            parts = tuple(float(part) for part in text.split(","))
            if len(parts) != len(now):
                raise ValueError
            return parts
        return type(now)(text)
    except (ValueError, KeyError):
        like = {"rates": "1e-4,1e-5", **dict.fromkeys(_PHASES, "2x128,1x224 (epochs x side)")}.get(key, repr(now))
        raise RecipeError(f"setting {key}={text!r}: expected something like {like}") from None
