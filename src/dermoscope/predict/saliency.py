"""Where in a picture a network found what speaks for a diagnosis: class activation maps, in numpy.

A map says where the evidence that the network used lies, in steps of a sixth of the square or so; not why it is
evidence, and not whether it is right. Maps can look the same for a network that has learnt nothing (Adebayo et al.
2018, NeurIPS): how faithful they are must be measured before anybody relies on them, and has not been. Experimental.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dermoscope.core.errors import BundleError
from dermoscope.data.crop import frame_matrix
from dermoscope.data.images import Source, read_image
from dermoscope.data.preprocess import prepare
from dermoscope.predict.bundle import head_weights
from dermoscope.predict.manifest import Member
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.session import Session
from dermoscope.predict.views import View, cut, frame_of

_COLOURS = np.array(
    [(20, 11, 52), (87, 21, 126), (157, 47, 127), (217, 72, 103), (248, 125, 95), (253, 190, 129), (252, 253, 191)],
    dtype=np.float64,
)
"""Evidence from none to most, in steps of equal lightness (after `magma` of van der Walt & Smith, CC0)."""

_TOLERANCE = 1e-3
"""How far a map may be from the logit that it explains: rounding, and nothing else."""


@dataclass(frozen=True, eq=False)
class ActivationMap:
    """What each place of the square that a network saw adds to the logit of one diagnosis.

    `values` [h, w] is the sum over features of head weight times feature (Zhou et al. 2016, CVPR): its mean plus `bias`
    is the logit, so positive places speak for the diagnosis and negative ones against it. `square` is what the network
    saw of the picture, sRGB. `corners` [4, 2] are those of the square (x, y; from the top left clockwise) in px of the
    original, or None where the preprocessing moves pixels. `model` is the SHA-256 of the bundle.
    """

    code: str
    member: str
    model: str
    square: UInt8[np.ndarray, "size size 3"]
    values: Float[np.ndarray, "h w"]
    bias: float
    corners: Float[np.ndarray, "4 2"] | None

    @property
    def logit(self) -> float:
        """The logit of the diagnosis."""
        return float(self.values.mean()) + self.bias

    @property
    def evidence(self) -> Float[np.ndarray, "size size"]:
        """What speaks for the diagnosis, at the size of the square: 0 for nothing, 1 for the strongest place."""
        size = len(self.square)
        smooth = cv2.resize(self.values.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
        most = float(self.values.max())
        return np.clip(smooth / most, 0.0, 1.0) if most > 0 else np.zeros((size, size), np.float32)


def activation_map(predictor: Predictor, source: Source, code: str, *, member: str | None = None) -> ActivationMap:
    """The map of one diagnosis, of one member (default: the first), on the first of the bundle's views.

    Where a member's own diagnoses are merged into the bundle's, the map is that of the one with the highest logit.
    Raises BundleError where the bundle holds no such member, no features or no head weights, or knows no such
    diagnosis, or where the logit is not the mean of the map; ImageError for a picture that cannot be read.
    """
    held, session = _member(predictor, member)
    if code not in predictor.taxonomy.codes:
        raise BundleError(f"the bundle knows no diagnosis {code!r}; there are {', '.join(predictor.taxonomy.codes)}")
    weight, bias = head_weights(predictor.bundle, held.name)
    views = predictor.views()
    picture = read_image(source, at_least=predictor.decoded_at(views))  # as for a prediction: the very same pixels
    pixels = prepare(picture.pixels, held.steps)
    square = cut(pixels, held.size, views[:1])
    logits, features = session.run(square, ("logits", "features"))
    if logits is None or features is None:
        raise BundleError(
            f"{held.name} of bundle {predictor.bundle.manifest.name!r} gives no features, and a class activation map "
            "needs them; export the network with dermoscope"
        )
    column = predictor.taxonomy.index(code)
    if held.merge:
        own = [k for k, target in enumerate(held.merge) if target == column]
        column = max(own, key=lambda k: float(logits[0, k]))
    values = np.tensordot(weight[column].astype(np.float64), features[0].astype(np.float64), axes=1)
    _check_adds_up(float(values.mean() + bias[column]), float(logits[0, column]), held.name)
    corners = None if held.steps else _corners(views[0], pixels, held.size) * (picture.width / pixels.shape[1])
    return ActivationMap(code, held.name, predictor.bundle.sha256, square[0], values, float(bias[column]), corners)


def layer(found: ActivationMap, alpha: float = 0.6) -> UInt8[np.ndarray, "size size 4"]:
    """The evidence as a coloured, transparent picture (RGBA) to lay over the square at any resolution.

    There is no colour where there is no evidence, and `alpha` of it where it is strongest.
    """
    evidence = found.evidence.astype(np.float64)
    steps = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(evidence, steps, _COLOURS[:, k]) for k in range(3)] + [255 * alpha * evidence]
    return np.rint(np.stack(channels, axis=2)).astype(np.uint8)


def overlay(found: ActivationMap, alpha: float = 0.6) -> UInt8[np.ndarray, "size size 3"]:
    """The square with the evidence laid over it, as `layer` says."""
    colour = layer(found, alpha).astype(np.float64)
    share = colour[..., 3:] / 255
    return np.rint(found.square * (1 - share) + colour[..., :3] * share).astype(np.uint8)


def png(pixels: UInt8[np.ndarray, "height width channels"]) -> bytes:
    """sRGB pixels, with or without transparency, as PNG."""
    order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    done, data = cv2.imencode(".png", cv2.cvtColor(pixels, order))
    assert done, "OpenCV encodes every uint8 picture"
    return bytes(data)


def _member(predictor: Predictor, name: str | None) -> tuple[Member, Session]:
    members = predictor.bundle.members
    for member, session in zip(members, predictor.sessions, strict=True):
        if name in (None, member.name):
            return member, session
    raise BundleError(f"the bundle has no member {name!r}; there are {', '.join(m.name for m in members)}")


def _check_adds_up(mapped: float, logit: float, member: str) -> None:
    """Some networks change their features once more after pooling them; a map of what was before would mislead."""
    if abs(mapped - logit) > _TOLERANCE * max(1.0, abs(logit)):
        raise BundleError(
            f"{member} has no class activation map: its logit is {logit:.3f} and the mean of its features by its "
            f"head {mapped:.3f}"
        )


def _corners(view: View, pixels: UInt8[np.ndarray, "height width 3"], size: int) -> Float[np.ndarray, "4 2"]:
    """Outer corners of a square in px of the decoded picture, whose own outer corner is (0, 0)."""
    matrix = frame_matrix((pixels.shape[0], pixels.shape[1]), size, frame_of(view))
    outer = np.array([(0, 0), (size, 0), (size, size), (0, size)], dtype=np.float64) - 0.5
    return outer @ matrix[:, :2].T + matrix[:, 2] + 0.5
