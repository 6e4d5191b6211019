"""Ink and rulers on a picture, found by a small network that ships with the bundled weights.

It was trained on marks that were drawn (`data/artefacts.py`) on real pictures, and what it finds on real ones was
checked by eye: `docs/concepts/quality.md`. It reads the copy of a picture on which all quality figures are measured.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from threading import Lock

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dermoscope.core.errors import BundleError
from dermoscope.data.properties import at_common_size
from dermoscope.predict.session import Session

Pixels = UInt8[np.ndarray, "height width 3"]
Mask = Bool[np.ndarray, "height width"]

KINDS = ("ink", "ruler")
"""What is looked for, in the order of the network's maps: violet marks of a pen, and scales and rulers."""

_PACKAGE = "dermoscope_weights"
"""The distribution that holds the network, because its licence is that of the pictures it was trained on."""
_FILE, _CARD = "marks.onnx", "marks.json"
_STEP = 8
"""The network reads sides that are a multiple of this."""


@cache
def installed() -> bool:
    """Whether the bundled weights, and with them the network, are installed."""
    return find_spec(_PACKAGE) is not None


def marks_of(pixels: Pixels) -> Mapping[str, Mask]:
    """Where a picture shows ink and where a ruler, by the names of `KINDS`, at the size of the picture.

    Masks are true on what was found and a little around it (the network sees 1/64 of the shorter side). Raises
    BundleError where the network is not installed or damaged.
    """
    height, width = pixels.shape[:2]
    found = marks_at_common_size(at_common_size(pixels))
    return {
        kind: cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
        for kind, mask in found.items()
    }


def marks_at_common_size(small: Pixels) -> Mapping[str, Mask]:
    """The same for a copy of the common size (`at_common_size`), as masks of its size."""
    detector = _loaded()
    height, width = small.shape[:2]
    maps = detector.logits(small)
    masks = {}
    for kind, map_ in zip(KINDS, maps, strict=True):
        cells = (map_ > detector.cuts[kind]).astype(np.uint8)
        size = (2 * cells.shape[1], 2 * cells.shape[0])
        masks[kind] = cv2.resize(cells, size, interpolation=cv2.INTER_NEAREST)[:height, :width].astype(bool)
    return masks


@dataclass(frozen=True, eq=False)
class Detector:
    """A graph from pictures uint8 [n, 8h, 8w, 3] to `logits` [n, kinds, 4h, 4w], and the logit each kind starts at."""

    session: Session
    cuts: Mapping[str, float]

    def logits(self, small: Pixels) -> Float[np.ndarray, "kinds cells_down cells_across"]:
        """The maps of one picture, one value for every 2 x 2 px; its edge is repeated up to a multiple of 8 px."""
        height, width = small.shape[:2]
        padded = np.pad(small, ((0, -height % _STEP), (0, -width % _STEP), (0, 0)), mode="edge")
        return np.asarray(self.session.run(padded[None], ("logits",))[0])[0]


_LOCK = Lock()


def _loaded() -> Detector:
    with _LOCK:  # threads that come first wait for one, instead of each loading its own
        return load_shipped()


@cache
def load_shipped() -> Detector:
    """The detector of the bundled weights, loaded once; BundleError where it is not there, or as `read_detector`."""
    try:
        folder = resources.files(_PACKAGE)
        graph, card = (folder / _FILE).read_bytes(), (folder / _CARD).read_text()
    except (OSError, ModuleNotFoundError) as error:
        raise BundleError(f"no detector of ink and rulers ({error}); install dermoscope-weights") from None
    return read_detector(graph, card)


def read_detector(graph: bytes, card: str) -> Detector:
    """A detector from its graph and its card, JSON of at least `sha256` and `cuts`.

    Raises BundleError where the graph is not the one that the card describes, or cannot be loaded.
    """
    said = json.loads(card)
    if hashlib.sha256(graph).hexdigest() != said["sha256"]:
        raise BundleError("the detector of ink and rulers is damaged; install dermoscope-weights again")
    return Detector(Session.load(graph, threads=1), {kind: float(said["cuts"][kind]) for kind in KINDS})
