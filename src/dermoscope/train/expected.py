"""What somebody else's model expects of its input and gives as output, as `bundle import --preprocess` says it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from dermoscope.core.errors import InputError, some
from dermoscope.core.taxonomy import Taxonomy

DROPPED = "-"
"""In `order`: an output that is not used, for example of a class UNK."""


@dataclass(frozen=True)
class Expected:
    """Input and output of a model.

    A pixel x of 0..255 reaches the model as (x / 255 * range - mean) / std, RGB. `order` names the diagnosis of every
    output, `-` one that is dropped. `size` is the side of the input in px (0: what the graph says), `output`,
    `embedding` and `features` the names of outputs of a graph (empty: the only one that fits, or none).
    """

    size: int = 0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    range: float = 1.0
    layout: Literal["nchw", "nhwc"] = "nchw"
    outputs: Literal["logits", "probabilities"] = "logits"
    order: tuple[str, ...] = ()
    output: str = ""
    embedding: str = ""
    features: str = ""

    @property
    def as_bytes(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation in units of 0..255."""
        return tuple(255 * m / self.range for m in self.mean), tuple(255 * s / self.range for s in self.std)

    def columns(self, taxonomy: Taxonomy) -> list[int]:
        """Which output is each diagnosis of the taxonomy.

        Raises InputError where `order` does not name each of them exactly once.
        """
        order = self.order or taxonomy.codes
        named = [code for code in order if code != DROPPED]
        if sorted(named) != sorted(taxonomy.codes):
            raise InputError(
                f"order={':'.join(order)} does not name each diagnosis of {taxonomy.name} once "
                f"({':'.join(taxonomy.codes)}); write {DROPPED} for an output that is none of them"
            )
        return [order.index(code) for code in taxonomy.codes]

    def width(self, taxonomy: Taxonomy) -> int:
        """How many outputs the model has."""
        return len(self.order or taxonomy.codes)


def read_expected(text: str) -> Expected:
    """`size=224,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,layout=nchw,range=1,outputs=logits,order=MEL:NV:...`.

    Raises InputError for a name that is not known or a value that cannot be.
    """
    found = Expected()
    for part in filter(None, text.split(",")):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in _READ:
            raise InputError(f"--preprocess {part}: expected one of {some((f'{k}=...' for k in _READ), 12)}")
        needed, read = _READ[key]
        try:
            found = replace(found, **{key: read(value)})
        except (ValueError, KeyError):
            raise InputError(f"--preprocess {key}={value}: it must be {needed}") from None
    return found


def _three(value: str, low: float) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in value.split(":"))
    if len(numbers) not in (1, 3) or not all(low < n < 1e6 for n in numbers):
        raise ValueError
    return numbers * 3 if len(numbers) == 1 else numbers


def _side(value: str) -> int:
    side = int(value)
    if not 16 <= side <= 4096:
        raise ValueError
    return side


_READ: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "size": ("16 to 4096 px", _side),
    "mean": ("one number or three, as 0.485:0.456:0.406", lambda v: _three(v, -1e6)),
    "std": ("one number above 0 or three, as 0.229:0.224:0.225", lambda v: _three(v, 0.0)),
    "range": ("1 or 255: the largest value of a pixel", lambda v: {"1": 1.0, "255": 255.0}[v]),
    "layout": ("nchw or nhwc", lambda v: {"nchw": "nchw", "nhwc": "nhwc"}[v.lower()]),
    "outputs": ("logits or probabilities", lambda v: {"logits": "logits", "probabilities": "probabilities"}[v]),
    "order": ("codes of diagnoses, as MEL:NV:BCC", lambda v: tuple(code.strip() for code in v.split(":"))),
    "output": ("the name of an output", str),
    "embedding": ("the name of an output", str),
    "features": ("the name of an output", str),
}
