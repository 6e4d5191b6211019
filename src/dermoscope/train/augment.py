"""Random variation of a training picture: one artefact, one affine matrix, one colour matrix, one loss of detail, one
cut-out.

The ranges follow Steppan & Hanke 2021 (rotation, translation, shear, zoom, flips, lighting, one cut-out at p = 0.5);
resolution, JPEG quality and aspect vary independently of the diagnosis, because in public data sets sharpness alone
predicts melanoma.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dermoscope.core.errors import RecipeError, some
from dermoscope.data.artefacts import ARTEFACTS, apply
from dermoscope.data.crop import Frame, frame_matrix, warp

_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Bounds of the random variation; every draw is uniform (aspect and zoom: log-uniform) within them.

    `angle`, `shear` in degrees; `shift` and `cutout` as shares of the side; `brightness`, `contrast`, `saturation`,
    `gain` (per channel) as relative changes; `hue` in degrees; `resolution` is the lowest share of the input size that
    detail is reduced to, `jpeg` the lowest quality; the `_p` fields are probabilities. Left and right are exchanged in
    half of the pictures, with `vertical` also top and bottom (an `angle` of 180 makes that needless). One of
    `artefacts` (names of `data/artefacts.py`, each as likely as the others) is drawn on a share `artefact_p` of the
    pictures before they are framed, with an intensity of at most `artefact_most`.

    Raises RecipeError, naming the setting, for a bound that cannot be drawn within.
    """

    angle: float = 180.0
    shear: float = 6.0
    shift: float = 0.08
    zoom: tuple[float, float] = (0.75, 1.4)
    aspect: float = 1.3
    brightness: float = 0.15
    contrast: float = 0.2
    saturation: float = 0.25
    hue: float = 8.0
    gain: float = 0.06
    cutout: tuple[float, float] = (0.07, 0.3)
    cutout_p: float = 0.5
    resolution: float = 0.45
    resolution_p: float = 0.35
    jpeg: int = 35
    jpeg_p: float = 0.2
    vertical: bool = False
    artefacts: tuple[str, ...] = ()
    artefact_p: float = 0.0
    artefact_most: float = 1.0

    def __post_init__(self) -> None:
        unknown = [name for name in self.artefacts if name not in ARTEFACTS]
        if unknown:
            raise RecipeError(f"augmentation: no artefact {some(unknown)}; there are {some(ARTEFACTS, len(ARTEFACTS))}")
        twice = sorted({name for name in self.artefacts if self.artefacts.count(name) > 1})
        if twice:
            raise RecipeError(
                f"augmentation names {some(twice)} twice; each artefact is as likely as the others, so once"
            )
        if self.artefact_p > 0 and not self.artefacts:
            raise RecipeError(
                f"augmentation has artefact_p={self.artefact_p:g} and no artefacts; name them: artefacts=ink/ruler"
            )
        shares = ("cutout_p", "resolution_p", "jpeg_p", "artefact_p", "brightness", "contrast", "saturation", "gain")
        possible = {
            "angle, shear, hue or shift": 0 <= self.shear < 60
            and all(0 <= bound < math.inf for bound in (self.angle, self.hue, self.shift)),
            "zoom": 0 < self.zoom[0] <= self.zoom[1] < math.inf,
            "aspect": 1 <= self.aspect < math.inf,
            "cutout": 0 <= self.cutout[0] <= self.cutout[1] <= 1,
            "resolution": 0 < self.resolution <= 1,
            "jpeg": 0 <= self.jpeg <= 95,
            "artefact_most": 0 < self.artefact_most <= 1,
            **{name: 0 <= getattr(self, name) <= 1 for name in shares},
        }
        wrong = [name for name, holds in possible.items() if not holds]
        if wrong:
            raise RecipeError(f"augmentation has an impossible {some(wrong)}; `Augmentation` says what each one means")


STILL = Augmentation(
    angle=0.0,
    shear=0.0,
    shift=0.0,
    zoom=(1.0, 1.0),
    aspect=1.0,
    brightness=0.0,
    contrast=0.0,
    saturation=0.0,
    hue=0.0,
    gain=0.0,
    cutout_p=0.0,
    resolution_p=0.0,
    jpeg_p=0.0,
)
"""Nothing varies but left and right: to start from where a recipe varies few things."""


def draw_matrix(
    rng: np.random.Generator, bounds: Augmentation, shape: tuple[int, int], size: int
) -> Float[np.ndarray, "2 3"]:
    """A random framing of a picture: rotation, flip, zoom, aspect, shear and translation as one matrix."""
    low, high = np.log(bounds.zoom)
    stretch = math.log(bounds.aspect)
    over = 180.0 if bounds.vertical and rng.random() < 0.5 else 0.0  # with the flip below: every flip a quarter
    frame = Frame(
        zoom=math.exp(rng.uniform(low, high)),
        angle=over + rng.uniform(-bounds.angle, bounds.angle),
        flip=bool(rng.random() < 0.5),
        aspect=math.exp(rng.uniform(-stretch, stretch)),
        shear=rng.uniform(-bounds.shear, bounds.shear),
        shift=(rng.uniform(-bounds.shift, bounds.shift), rng.uniform(-bounds.shift, bounds.shift)),
    )
    return frame_matrix(shape, size, frame)


def draw_colour(rng: np.random.Generator, bounds: Augmentation) -> Float[np.ndarray, "3 4"]:
    """A random 3x4 colour matrix (RGB -> RGB, offset in 0..255): brightness, contrast, saturation, hue, gains.

    Hue is a rotation about the grey axis, so that grey stays grey.
    """
    contrast = 1 + rng.uniform(-bounds.contrast, bounds.contrast)
    saturation = 1 + rng.uniform(-bounds.saturation, bounds.saturation)
    offset = 255 * (rng.uniform(-bounds.brightness, bounds.brightness) + 0.5 * (1 - contrast))
    gains = 1 + rng.uniform(-bounds.gain, bounds.gain, 3)
    turn = math.radians(rng.uniform(-bounds.hue, bounds.hue))
    axis = 1 / math.sqrt(3)
    cross = axis * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    hue = math.cos(turn) * np.eye(3) + math.sin(turn) * cross + (1 - math.cos(turn)) / 3
    grey = np.tile(_LUMA, (3, 1))
    linear = contrast * np.diag(gains) @ (saturation * np.eye(3) + (1 - saturation) * grey) @ hue
    return np.column_stack([linear, np.full(3, offset)])


def augment(
    pixels: UInt8[np.ndarray, "height width 3"], size: int, bounds: Augmentation, rng: np.random.Generator
) -> UInt8[np.ndarray, "size size 3"]:
    """One random variant of a picture as the network's input."""
    if bounds.artefact_p > 0 and rng.random() < bounds.artefact_p:
        pixels = _with_artefact(pixels, bounds, rng)
    reduced = size
    if rng.random() < bounds.resolution_p:
        reduced = max(16, round(size * rng.uniform(bounds.resolution, 1.0)))
    out = warp(pixels, draw_matrix(rng, bounds, pixels.shape[:2], reduced), reduced)
    if rng.random() < bounds.jpeg_p:
        quality = int(rng.integers(bounds.jpeg, 96))
        coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    if reduced != size:
        out = cv2.resize(out, (size, size), interpolation=cv2.INTER_LINEAR)
    out = cv2.transform(out, draw_colour(rng, bounds))
    if rng.random() < bounds.cutout_p:
        side = max(1, round(size * rng.uniform(*bounds.cutout)))
        top, left = rng.integers(0, size - side + 1, 2)
        out[top : top + side, left : left + side] = out.mean(axis=(0, 1))
    return out


def _with_artefact(
    pixels: UInt8[np.ndarray, "height width 3"], bounds: Augmentation, rng: np.random.Generator
) -> UInt8[np.ndarray, "rows columns 3"]:
    name = bounds.artefacts[int(rng.integers(len(bounds.artefacts)))]
    intensity = rng.uniform(0.0, bounds.artefact_most)
    return apply(name, pixels, intensity=intensity, seed=int(rng.integers(2**31))).pixels
