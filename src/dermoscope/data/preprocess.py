"""Steps that change a picture before it is framed: named in a recipe, recorded in a bundle, the same in both.

A step is written `name`, or `name=value/value` with its parameters in their order, and steps are joined by commas:
`trim_border,shave=7,pad=mirror`. Lengths are shares of the picture's shorter side, or pixels of one whose shorter
side has 450 px, so that a step does the same to a large copy and to a small one. Every step takes and gives uint8 sRGB,
draws nothing at random, and hands on what it cannot read (too small, of one colour, all black) as it is.

What each step is worth here was measured: `docs/concepts/preprocessing.md`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dermoscope.core.errors import RecipeError, some
from dermoscope.data.preprocess_edges import FIELDS, FILLS, pad, shave, trim_border
from dermoscope.data.preprocess_logos import crop_logos
from dermoscope.data.preprocess_surface import remove_hair, shades_of_grey

Pixels = UInt8[np.ndarray, "height width 3"]
Value = float | str


@dataclass(frozen=True)
class Parameter:
    """A parameter of a step: a number between `low` and `high`, or one of `choices` where there are any."""

    name: str
    default: Value
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] = ()

    @property
    def needed(self) -> str:
        """What it must be, in words."""
        return f"one of {', '.join(self.choices)}" if self.choices else f"{self.low:g} to {self.high:g}"

    def read(self, given: object) -> Value | None:
        """The value that a text or a number stands for; None where it is not allowed."""
        if self.choices:
            return str(given) if given in self.choices else None
        try:
            number = float(given)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None
        return number if self.low <= number <= self.high else None


@dataclass(frozen=True)
class Operation:
    """What a step does: `run(pixels, **parameters)`, its parameters in the order of the text, and its source."""

    run: Callable[..., np.ndarray]
    parameters: tuple[Parameter, ...]
    what: str
    source: str


STEPS: Mapping[str, Operation] = MappingProxyType(
    {
        "trim_border": Operation(
            trim_border,
            (Parameter("fuzz", 0.05, 0.0, 0.5), Parameter("field", FIELDS[0], choices=FIELDS)),
            "cut off the black frame; `inside` also cuts to the rectangle inside a round field",
            "Steppan & Hanke 2021: black border trimmed, fuzz 5 %",
        ),
        "shave": Operation(
            shave,
            (Parameter("px", 7.0, 0.0, 100.0),),
            "cut a margin off every edge, in px of a picture whose shorter side has 450 px",
            "Steppan & Hanke 2021: 7 px; the size they refer to is not published",
        ),
        "crop_logos": Operation(
            crop_logos,
            (Parameter("most", 0.2, 0.0, 0.4),),
            "cut off edges with text, banners or colour patches, at most this share of a side and never the lesion",
            "Steppan & Hanke 2021: logos cropped off; the rule is not published",
        ),
        "pad": Operation(
            pad,
            (Parameter("fill", FILLS[0], choices=FILLS),),
            "pad to a square, so that framing shows the whole picture (without it: the square in its centre)",
            "Steppan & Hanke 2021: resized with padding; the colour is not published",
        ),
        "shades_of_grey": Operation(
            shades_of_grey,
            (Parameter("p", 6.0, 1.0, 20.0),),
            "take the colour of the light out",
            "Finlayson & Trezzi 2004; on dermoscopy: Barata et al. 2015",
        ),
        "remove_hair": Operation(
            remove_hair,
            (Parameter("contrast", 0.06, 0.01, 1.0),),
            "find dark hairs by a black-hat along lines and paint them over from their sides",
            "after Lee et al. 1997 (DullRazor); painting: Telea 2004",
        ),
    }
)
"""Every step by its name."""


@dataclass(frozen=True, eq=True)
class Step:
    """One step with its parameters; those that are not given have their defaults.

    Raises RecipeError for a step or a parameter that does not exist, or a value that is not allowed.
    """

    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in STEPS:
            raise RecipeError(f"no preprocessing step {self.name!r}; there are {some(STEPS, 20)}")
        known = {p.name: p for p in STEPS[self.name].parameters}
        strange = [name for name in self.parameters if name not in known]
        if strange:
            raise RecipeError(f"step {self.name} has no parameter {some(strange)}; it has {some(known)}")
        values = {p.name: _allowed(self.name, p, self.parameters.get(p.name, p.default)) for p in known.values()}
        object.__setattr__(self, "parameters", MappingProxyType(values))

    @property
    def text(self) -> str:
        """The step as `parse_steps` reads it, without trailing defaults."""
        values = [(self.parameters[p.name], p.default) for p in STEPS[self.name].parameters]
        while values and values[-1][0] == values[-1][1]:
            values.pop()
        given = "/".join(v if isinstance(v, str) else f"{v:g}" for v, _ in values)
        return f"{self.name}={given}" if given else self.name


def _allowed(step: str, parameter: Parameter, given: object) -> Value:
    value = parameter.read(given)
    if value is None:
        raise RecipeError(f"step {step}: {parameter.name}={given!r}; it must be {parameter.needed}")
    return value


def parse_steps(text: str | Iterable[str]) -> tuple[Step, ...]:
    """Steps from text (`trim_border,shave=7`), or from the text of each; none where it is empty.

    Raises RecipeError as `Step` does, and for more values than a step has parameters.
    """
    parts = text.split(",") if isinstance(text, str) else list(text)
    return tuple(_parsed(part.strip()) for part in parts if part.strip())


def _parsed(text: str) -> Step:
    name, equals, rest = text.partition("=")
    values = rest.split("/") if equals else []
    if name in STEPS and len(values) > len(STEPS[name].parameters):
        raise RecipeError(
            f"step {text!r}: {len(values)} values, and {name} has the parameters "
            f"{'/'.join(p.name for p in STEPS[name].parameters)}"
        )
    return Step(name, {p.name: v for p, v in zip(STEPS[name].parameters, values, strict=False)} if values else {})


def steps_as_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as JSON-able values, every parameter named, for a bundle's manifest."""
    return [{"name": step.name, "parameters": dict(step.parameters)} for step in steps]


def steps_from_json(value: object) -> tuple[Step, ...]:
    """Steps from what `steps_as_json` gave. Raises RecipeError for anything else."""
    if not isinstance(value, list | tuple) or not all(
        isinstance(item, Mapping) and set(item) == {"name", "parameters"} and isinstance(item["parameters"], Mapping)
        for item in value
    ):
        raise RecipeError(f"preprocessing steps {value!r}: a list of objects with `name` and `parameters` is needed")
    return tuple(Step(str(item["name"]), item["parameters"]) for item in value)


def prepare(pixels: Pixels, steps: Sequence[Step]) -> Pixels:
    """The picture after every step, in order; the same array where it is contiguous and no step has anything to do."""
    for step in steps:
        pixels = STEPS[step.name].run(pixels, **step.parameters)
    return np.ascontiguousarray(pixels)


def decode_at(side: int, steps: Sequence[Step]) -> int:
    """The shorter side (px) to decode at where `side` is needed in the end: twice that, for steps cut parts away."""
    return 2 * side if steps else side
