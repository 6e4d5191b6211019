"""Class activation maps: what they add up to, which pixels they lie on, and when there is none."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dermoscope.core.errors import BundleError, ImageError
from dermoscope.data.images import read_image
from dermoscope.data.synthetic import draw
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.saliency import ActivationMap, activation_map, layer, overlay, png
from dermoscope.predict.session import Session

PICTURE = draw(2, "MEL", (640, 480))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("default", threads=1)


@pytest.mark.parametrize("code", ["MEL", "NV", "SCC"])
def test_the_mean_of_the_map_is_the_logit_of_the_first_view(predictor: Predictor, code: str) -> None:
    found = activation_map(predictor, PICTURE.jpeg(), code)
    logits = predictor.predict([PICTURE.jpeg()]).logits[0, 0]
    assert found.logit == pytest.approx(float(logits[predictor.taxonomy.index(code)]), abs=1e-5)
    assert (found.code, found.member, found.model) == (code, "default", predictor.bundle.sha256)


def test_it_lies_on_the_pixels_that_the_network_saw(predictor: Predictor) -> None:
    found = activation_map(predictor, PICTURE.pixels, "MEL")
    logits, _ = predictor.sessions[0].run(found.square[None], ("logits", "embedding"))
    assert logits is not None
    assert found.logit == pytest.approx(float(logits[0, predictor.taxonomy.index("MEL")]), abs=1e-5)


@pytest.mark.parametrize(("size", "left", "top"), [((640, 480), 80, 0), ((480, 640), 0, 80), ((1600, 1200), 200, 0)])
def test_the_corners_are_those_of_the_centre_square_of_the_original(
    predictor: Predictor, size: tuple[int, int], left: int, top: int
) -> None:
    side = min(size)
    expected = np.array([(left, top), (left + side, top), (left + side, top + side), (left, top + side)])
    corners = activation_map(predictor, draw(1, "NV", size).jpeg(), "NV").corners
    assert corners is not None
    assert corners == pytest.approx(expected, abs=1e-6)


def test_a_map_moves_with_the_picture(predictor: Predictor) -> None:
    """Turned half round, the evidence turns too: it is no map of the network alone, or of its border."""
    ring = np.full((384, 384, 3), (215, 175, 160), np.uint8)
    ring[40:150, 40:150] = draw(2, "MEL", (110, 110)).pixels
    one = activation_map(predictor, ring, "MEL").values
    turned = activation_map(predictor, np.ascontiguousarray(ring[::-1, ::-1]), "MEL").values
    back = np.corrcoef(one.ravel(), turned[::-1, ::-1].ravel())[0, 1]
    stayed = np.corrcoef(one.ravel(), turned.ravel())[0, 1]
    assert back > max(0.5, stayed + 0.3)


def made(values: np.ndarray) -> ActivationMap:
    square = np.full((48, 48, 3), 200, np.uint8)
    return ActivationMap("MEL", "default", "0" * 64, square, values, 0.5, None)


def test_evidence_runs_from_none_to_the_strongest_place() -> None:
    found = made(np.array([[4.0, 0.0], [-8.0, 0.0]]))
    assert found.logit == pytest.approx(-0.5)
    assert found.evidence.shape == (48, 48)
    assert (found.evidence.min(), found.evidence.max()) == (0.0, 1.0)
    assert found.evidence[:12, :12].min() > 0.9
    assert found.evidence[36:, :12].max() == 0.0
    coloured = overlay(found)
    assert np.array_equal(coloured[40:, :12], found.square[40:, :12])
    assert not np.array_equal(coloured[:12, :12], found.square[:12, :12])
    assert np.array_equal(overlay(found, alpha=0.0), found.square)
    assert (layer(found)[40:, :12, 3].max(), layer(found, 0.6)[:12, :12, 3].max()) == (0, 153)


def test_stronger_evidence_is_lighter() -> None:
    ramp = np.linspace(0, 1, 48)[None].repeat(48, axis=0)
    colours = layer(made(ramp))[0, :, :3]
    lightness = cv2.cvtColor(colours[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0, :, 0]
    assert np.diff(lightness).min() > 0
    assert np.diff(layer(made(ramp))[0, :, 3].astype(int)).min() >= 0


def test_where_nothing_speaks_for_it_the_picture_stays_as_it_is() -> None:
    found = made(np.full((6, 6), -1.0))
    assert found.evidence.max() == 0.0
    assert np.array_equal(overlay(found), found.square)


def test_the_png_is_the_picture() -> None:
    pixels = draw(3, "BCC", (96, 64)).pixels
    assert np.array_equal(read_image(png(pixels)).pixels, pixels)


def test_what_has_no_map_says_why(predictor: Predictor) -> None:
    for arguments, why in (
        ({"code": "XYZ"}, "knows no diagnosis 'XYZ'"),
        ({"code": "MEL", "member": "b"}, "no member 'b'"),
    ):
        with pytest.raises(BundleError, match=why):
            activation_map(predictor, PICTURE.pixels, **arguments)
    bare = replace(predictor, bundle=replace(predictor.bundle, arrays={}))
    with pytest.raises(BundleError, match="holds no head weights of 'default'"):
        activation_map(bare, PICTURE.pixels, "MEL")
    shifted = {k: v + 1 if k.endswith("bias") else v for k, v in predictor.bundle.arrays.items()}
    other = replace(predictor, bundle=replace(predictor.bundle, arrays=shifted))
    with pytest.raises(BundleError, match="default has no class activation map: its logit is"):
        activation_map(other, PICTURE.pixels, "MEL")
    blind = replace(predictor, sessions=(Session(predictor.sessions[0].inner, frozenset({"logits"})),))
    with pytest.raises(BundleError, match="gives no features"):
        activation_map(blind, PICTURE.pixels, "MEL")
    with pytest.raises(ImageError):
        activation_map(predictor, b"no picture", "MEL")
