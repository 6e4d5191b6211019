"""Drawn artefacts: only where the mask says, the same for a seed, stronger with the intensity, beside the lesion."""

import os
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermoscope.core.errors import InputError, ValueRuleError
from dermoscope.data.artefacts import ARTEFACTS, apply
from dermoscope.data.artefacts_hair import taper
from dermoscope.data.artefacts_ink import VIOLET
from dermoscope.data.artefacts_paint import LEAST, cover, find_lesion, lines, mottle, stain
from dermoscope.data.artefacts_ruler import KINDS, SHARES
from dermoscope.data.artefacts_scales import Pen, Printed, Wear, frame_at, paint, ticks, written
from dermoscope.data.images import read_image
from dermoscope.data.synthetic import draw
from dermoscope.predict.quality import quality_of

WHOLE = ("blur", "exposure", "colour_cast", "jpeg")
DRAWN = tuple(name for name in ARTEFACTS if name not in (*WHOLE, "crop"))
SHAPES = ((32, 24), (24, 32), (20, 300), (300, 20), (8, 8), (150, 200))
LESIONS = [draw(seed, "NV", (224, 224)) for seed in range(6)]


def noisy(shape: tuple[int, int], level: tuple[int, int] = (0, 256)) -> np.ndarray:
    return np.random.default_rng(1).integers(*level, (*shape, 3), dtype=np.uint8)


def frozen(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.copy()
    pixels.flags.writeable = False
    return pixels


def test_there_are_eleven_and_each_is_told_in_a_line() -> None:
    expected = "ink ruler hair bubbles dark_corners patch blur exposure colour_cast jpeg crop"
    assert " ".join(ARTEFACTS) == expected
    assert all(10 < len(says) < 100 for says in ARTEFACTS.values())


@pytest.mark.parametrize("name", ARTEFACTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape_and_nothing_changes_outside_the_mask(name: str, shape: tuple[int, int]) -> None:
    for seed in range(8):
        for pixels in (noisy(shape), noisy(shape, (0, 1)), noisy(shape, (255, 256))):
            for intensity in (1e-9, 0.4, 1.0):
                found = apply(name, frozen(pixels), intensity=intensity, seed=seed)
                assert found.pixels.dtype == np.uint8
                assert found.mask.dtype == bool
                assert found.pixels.shape == (*found.mask.shape, 3)
                if name != "crop":
                    np.testing.assert_array_equal(found.pixels[~found.mask], pixels[~found.mask])


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn_shows_where_the_mask_says(name: str) -> None:
    shares = []
    for seed in range(30):
        pixels = LESIONS[seed % 6].pixels
        found = apply(name, pixels, intensity=0.9, seed=seed)
        assert 0.0005 < found.mask.mean() < 0.6
        shares.append((found.pixels != pixels).any(axis=2)[found.mask].mean())
    assert np.mean(shares) > 0.97
    assert min(shares) > 0.9


@pytest.mark.parametrize("name", WHOLE)
def test_what_happens_to_all_of_a_picture_has_all_of_it_as_mask(name: str) -> None:
    found = apply(name, LESIONS[0].pixels, intensity=0.5, seed=0)
    assert found.mask.all()
    assert (found.pixels != LESIONS[0].pixels).any(axis=2).mean() > 0.5


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 1.0))
def test_a_crop_is_a_part_of_the_picture(seed: int, intensity: float) -> None:
    numbered = np.zeros((60, 80, 3), np.uint8)
    numbered[..., 0], numbered[..., 1] = np.indices((60, 80))
    found = apply("crop", numbered, intensity=intensity, seed=seed)
    rows, columns = found.mask.shape
    top, left = found.pixels[0, 0, :2].astype(int)
    np.testing.assert_array_equal(found.pixels, numbered[top : top + rows, left : left + columns])
    assert not found.mask.any()
    assert 0.5 * 60 - 1 <= rows <= (1 - 0.4 * intensity) * 60 + 1
    assert columns / rows == pytest.approx(80 / 60, abs=0.06)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_without_intensity_the_picture_is_the_same_and_not_shared(name: str) -> None:
    pixels = noisy((40, 50))
    found = apply(name, pixels, intensity=0.0, seed=3)
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.mask.shape == (40, 50)
    assert not found.mask.any()
    assert not np.shares_memory(found.pixels, pixels)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_a_seed_repeats_and_another_draws_another(name: str) -> None:
    pixels = LESIONS[1].pixels
    first, again, other = (apply(name, pixels, intensity=0.8, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert first.pixels.shape != other.pixels.shape or (first.pixels != other.pixels).any()


@pytest.mark.parametrize("name", ARTEFACTS)
def test_no_picture_that_is_given_is_changed_or_handed_back(name: str) -> None:
    pixels = noisy((48, 64))
    before = pixels.copy()
    found = apply(name, pixels, intensity=1.0, seed=2)
    np.testing.assert_array_equal(pixels, before)
    assert not np.shares_memory(found.pixels, pixels)
    turned = np.ascontiguousarray(pixels[:, ::-1])
    np.testing.assert_array_equal(
        apply(name, pixels[:, ::-1], intensity=1.0, seed=2).pixels, apply(name, turned, intensity=1.0, seed=2).pixels
    )


def _mean(name: str, intensity: float) -> tuple[float, float]:
    """Mean area of the mask and mean change of a pixel, over 40 seeds."""
    area, change = [], []
    for seed in range(40):
        pixels = LESIONS[seed % 6].pixels
        found = apply(name, pixels, intensity=intensity, seed=seed)
        area.append(found.mask.mean())
        if name != "crop":
            change.append(np.abs(found.pixels.astype(int) - pixels).mean())
        else:
            change.append(1 - found.mask.size / pixels[..., 0].size)
    return float(np.mean(area)), float(np.mean(change))


@pytest.mark.parametrize("name", ARTEFACTS)
def test_with_the_intensity_there_is_more_of_it(name: str) -> None:
    found = [_mean(name, intensity) for intensity in (0.02, 0.25, 0.5, 0.75, 1.0)]
    for (area, change), (more_area, more_change) in pairwise(found):
        assert more_change > change
        assert more_area > area if name in DRAWN else more_area == area
    assert found[-1][1] > 2 * found[0][1]


@pytest.mark.parametrize("name", DRAWN)
def test_sizes_follow_the_shorter_side(name: str) -> None:
    def area(side: int) -> float:
        pictures = [draw(seed, "NV", (side, side)).pixels for seed in range(4)]
        found = [apply(name, pictures[seed % 4], intensity=0.8, seed=seed).mask.mean() for seed in range(32)]
        return float(np.mean(found))

    assert 0.8 < area(448) / area(150) < 1.25


def test_ink_is_violet() -> None:
    """Redder and bluer than the skin in CIELAB, and darker, as real ink of ISIC 2017 is (-28, +20, -29)."""
    shifts = []
    for seed in range(24):
        pixels = LESIONS[seed % 6].pixels
        found = apply("ink", pixels, intensity=1.0, seed=seed)
        lab = cv2.cvtColor(found.pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        dense = found.mask & (found.pixels.min(axis=2) < 0.6 * pixels.min(axis=2))
        shifts.append(np.median(lab[dense], axis=0) - np.median(lab[~found.mask], axis=0))
    light, red, blue = np.median(shifts, axis=0)
    assert -45 < light < -15
    assert 5 < red < 30
    assert -45 < blue < -15


def _darkness(kind: str, seed: int, places: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """How dark a bar makes skin of one colour, at places in mm from its left end and heights over its base line."""
    printed = KINDS[kind](np.random.default_rng(seed), (800, 800))
    (line,) = next(pen.lines for pen in printed.pens if len(pen.lines) == 1 and (pen.lines[0][:, 1] == 0).all())
    middle = frame_at((400.0, 400.0), 0.0, 800.0, 1.0)
    skin = np.full((800, 800, 3), 200, np.uint8)
    drawn, _ = paint(replace(printed, frame=middle), skin, 1.0)
    along = line[0, 0] + places * (line[1, 0] - line[0, 0]) / 10
    u, v = np.meshgrid(along, heights)
    x, y = 400 + 800 * u, 400 - 800 * v
    return np.asarray(200.0 - cv2.remap(drawn[..., 1], x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR))


@pytest.mark.parametrize("kind", ["scale_bar", "pale_bar"])
def test_marks_and_letters_of_a_scale_bar_lie_on_opposite_sides_of_its_line(kind: str) -> None:
    for seed in range(12):
        marks = _darkness(kind, seed, np.arange(11.0), np.linspace(0.016, 0.02, 5)).mean(axis=0)
        assert (marks > 12).all()
        below = _darkness(kind, seed, np.linspace(-0.3, 10.3, 400), np.linspace(-0.06, -0.01, 40)).max(axis=0)
        left, right = below[:100] > 12, below[-100:] > 12
        assert left.any() != right.any()
        assert (below[100:-100] < 6).all()


@pytest.mark.parametrize(("kind", "above"), [("scale_bar", 0.0185), ("pale_bar", 0.0245)])
def test_marks_of_half_a_millimetre_are_shorter(kind: str, above: float) -> None:
    for seed in range(12):
        halves, low = np.arange(10) + 0.5, 0.0065 if kind == "scale_bar" else 0.014
        between = _darkness(kind, seed, np.arange(10) + 0.25, np.array([low]))
        assert (_darkness(kind, seed, halves, np.array([low])) > between + 4).all()
        assert (_darkness(kind, seed, halves, np.array([above])) < 4).all()
        assert (_darkness(kind, seed, np.arange(11.0), np.array([above])) > 8).all()


def test_most_rulers_are_a_scale_bar_in_the_lower_third() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    assert SHARES.keys() == KINDS.keys()
    low = 0
    for seed in range(200):
        rows, columns = np.nonzero(apply("ruler", LESIONS[seed % 6].pixels, intensity=0.8, seed=seed).mask)
        bar = np.ptp(columns) > 70 and len(rows) < 0.04 * 224**2
        low += bool(bar and np.median(rows) > 224 * 2 / 3 and 50 < np.median(columns) < 174)
    assert 0.7 < low / 200 < 0.95


def test_with_its_intensity_the_same_ruler_grows_from_nearly_nothing() -> None:
    for seed in range(60):
        pixels = LESIONS[seed % 6].pixels
        found = [apply("ruler", pixels, intensity=i, seed=seed) for i in (0.001, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0)]
        areas = [each.mask.mean() for each in found]
        changes = [np.abs(each.pixels.astype(int) - pixels).mean() for each in found]
        assert all(more > 0.93 * less for less, more in pairwise(areas))
        assert all(more > less for less, more in pairwise(changes))
        assert changes[0] < 0.08 * changes[-1]
        assert changes[1] < 0.2 * changes[-1]
        assert found[-1].mask[found[3].mask].mean() > 0.85


def test_print_lies_where_its_frame_says_by_hand() -> None:
    """A mark 0.1 to 0.2 above the middle, and the same in a frame turned by a quarter and squeezed by a half."""
    wear = Wear(0.0, (0.0, 0.0), np.zeros((2, 2), np.float32), 0.0)
    pen = Pen(ticks(np.array([0.0]), 0.1, 0.2), 0.02)
    skin = np.full((100, 100, 3), 200, np.uint8)
    for turn, squeeze, columns, rows in ((0.0, 1.0, (50, 50), (30, 40)), (90.0, 0.5, (55, 60), (50, 50))):
        printed = Printed((pen,), frame_at((50.0, 50.0), turn, 100.0, squeeze), 100.0, (0.0, 0.0, 0.0), 1.0, wear)
        drawn, mask = paint(printed, skin, 1.0)
        y, x = np.nonzero(drawn[..., 1] < 100)
        assert (x.min(), x.max()) == (pytest.approx(columns[0], abs=2), pytest.approx(columns[1], abs=2))
        assert (y.min(), y.max()) == (pytest.approx(rows[0], abs=2), pytest.approx(rows[1], abs=2))
        assert mask[drawn[..., 1] < 100].all()
    far = replace(printed, frame=frame_at((900.0, 50.0), 0.0, 100.0, 1.0))
    assert not paint(far, skin, 1.0)[1].any()


def test_letters_stand_beside_each_other_on_their_corner() -> None:
    strokes = written("Mm", (0.5, -0.2), 0.1, 0.2)
    assert strokes[0].min(axis=0).tolist() == [0.5, -0.2]
    assert strokes[0].max(axis=0) == pytest.approx([0.648, -0.1])
    assert strokes[1][0].tolist() == pytest.approx([0.7, -0.2])


@pytest.mark.parametrize(("name", "figure"), [("hair", "hair"), ("dark_corners", "dark_corners")])
def test_the_quality_figures_see_them(name: str, figure: str) -> None:
    """An independent measure: what finds the real ones finds these."""
    rises = []
    for seed in range(24):
        pixels = LESIONS[seed % 6].pixels
        before, after = (
            quality_of(p, 224, 224)[figure] for p in (pixels, apply(name, pixels, intensity=1.0, seed=seed).pixels)
        )
        rises.append(after - before)
    assert np.mean(rises) > 0.2


def plain(side: int, colour: tuple[int, int, int] = (225, 190, 180)) -> np.ndarray:
    return np.full((side, side, 3), colour, np.uint8)


def alone(seed: int) -> np.ndarray | None:
    """Change across one long hair, summed, in 24 parts from its middle on to the tip; None for another picture."""
    skin = plain(600)
    found = apply("hair", skin, intensity=0.01, seed=seed)
    y, x = np.nonzero(found.mask)
    if len(x) == 0 or min(x.min(), y.min()) == 0 or max(x.max(), y.max()) == 599 or np.ptp(x) + np.ptp(y) < 150:
        return None
    _, tall, (east, _) = np.linalg.svd(np.stack([x, y], 1) - (x.mean(), y.mean()), full_matrices=False)
    along = x * east[0] + y * east[1]
    if tall[1] > 0.06 * tall[0]:
        return None  # bent: parts of a straight line would not be as long
    dark = np.abs(skin.astype(float) - found.pixels)[y, x].sum(axis=1)
    cut = np.minimum((along - along.min()) / np.ptp(along) * 48, 47).astype(int)
    parts = np.bincount(cut, dark, minlength=48)
    half = parts[24:] if parts[42:].sum() < parts[:6].sum() else parts[23::-1]
    return half / half[:6].mean()


def test_a_hair_tapers_without_a_step() -> None:
    along = np.linspace(0, 1, 401)
    long, stub = taper(along, cut=False), taper(along, cut=True)
    assert np.abs(np.diff(long[:-1])).max() < 0.08
    assert (np.diff(long[40:]) <= 0).all()
    assert long[-1] == 0
    assert stub[-1] > 0.4
    found = [parts for parts in map(alone, range(300)) if parts is not None]
    assert len(found) > 20
    smooth = np.median(found, axis=0)
    assert smooth[7] - smooth[7:13].min() < 0.2  # where a step at two thirds of a hair would be
    assert smooth[-1] < 0.5


def test_hair_lets_light_through_and_red_most() -> None:
    """The same hair on light and on dark skin: what is darker stays darker below it."""
    through = []
    for seed in range(30):
        light, dark = (
            apply("hair", plain(224, colour), intensity=1.0, seed=seed) for colour in ((230, 210, 210), (120, 100, 100))
        )
        passed = light.pixels.astype(float) - dark.pixels
        assert (passed[light.mask] >= -2).all()
        thick = light.pixels.min(axis=2) <= np.quantile(light.pixels.min(axis=2)[light.mask], 0.3)
        through.append(np.median(passed[thick & light.mask] / 110, axis=0))
    red, green, blue = np.mean(through, axis=0)
    assert 0.2 < blue < green < red < 0.9
    assert red - blue > 0.05


def test_the_same_hair_grows_with_the_intensity() -> None:
    skin = plain(224)
    changes = []
    for seed in range(30):
        grown = [apply("hair", skin, intensity=float(i), seed=seed) for i in np.linspace(0.05, 1.0, 20)]
        change = np.array([np.abs(one.pixels.astype(int) - skin).mean() for one in grown])
        for less, more in pairwise(grown):
            assert (less.mask & ~more.mask).sum() <= 0.03 * less.mask.sum() + 2
        assert (np.diff(change) > -0.01 * change[-1]).all()
        assert grown[0].mask.any()
        changes.append(change / change[-1])
    mean = np.mean(changes, axis=0)
    assert 0 < mean[0] < 0.04
    assert np.diff(mean).max() < 0.12


def test_hair_is_long_or_shaved_to_stubs() -> None:
    """By the sizes of what is plainly drawn (a faint hair comes apart into pieces)."""
    shaved, long = 0, 0
    for seed in range(100):
        skin = plain(448)
        change = np.abs(apply("hair", skin, intensity=0.5, seed=seed).pixels.astype(int) - skin).max(axis=2)
        _, labels, boxes, _ = cv2.connectedComponentsWithStats((change > 8).astype(np.uint8), connectivity=8)
        plainly = [index for index in np.unique(labels[change > 50]) if index]
        sizes = np.hypot(boxes[plainly, cv2.CC_STAT_WIDTH], boxes[plainly, cv2.CC_STAT_HEIGHT]) / 448
        shaved += bool(len(plainly) > 5 and np.quantile(sizes, 0.8) < 0.12)
        long += bool(len(plainly) > 0 and sizes.max() > 0.4)
    assert 4 <= shaved <= 25
    assert long > 60


def test_blurred_pictures_lose_detail() -> None:
    sharp = LESIONS[2].pixels
    for seed in range(8):
        dull = apply("blur", sharp, intensity=1.0, seed=seed).pixels
        assert quality_of(dull, 224, 224)["blur"] > quality_of(sharp, 224, 224)["blur"] + 0.1


@pytest.mark.parametrize("name", ["ink", "patch"])
def test_nobody_marks_the_lesion_itself(name: str) -> None:
    on_lesion, beside = [], []
    for seed in range(60):
        lesion = draw(seed % 10, "NV", (200, 150))
        mask = apply(name, lesion.pixels, intensity=0.7, seed=seed).mask
        on_lesion.append(mask[lesion.mask].mean())
        beside.append(mask[~lesion.mask].mean())
    assert np.mean(on_lesion) < 0.5 * np.mean(beside)


def test_texture_shows_through_ink_and_not_through_a_patch() -> None:
    def kept(name: str) -> float:
        """Correlation of the pixels under the artefact with what was there, mean over seeds."""
        out = []
        for seed in range(20):
            found = apply(name, noisy((200, 200), (120, 250)), intensity=1.0, seed=seed)
            below = noisy((200, 200), (120, 250))[found.mask][:, 2]
            out.append(np.corrcoef(found.pixels[found.mask][:, 2], below)[0, 1])
        return float(np.mean(out))

    assert kept("ink") > 0.8  # violet lets blue through
    assert abs(kept("patch")) < 0.2


def test_where_the_lesion_lies() -> None:
    pixels = np.full((150, 200, 3), 220, np.uint8)
    y, x = np.indices((150, 200))
    pixels[np.hypot(x - 130, y - 60) < 25] = (90, 50, 40)
    place = find_lesion(pixels)
    assert (place.x, place.y) == (pytest.approx(130, abs=6), pytest.approx(60, abs=6))
    assert place.radius == pytest.approx(25, rel=0.35)
    assert (place.unit, place.width, place.height) == (150, 200, 150)


def test_the_lesion_is_found_in_real_pictures() -> None:
    folder = os.environ.get("DERMOSCOPE_DATA")
    if not folder:
        pytest.skip("DERMOSCOPE_DATA is not set: it names the folder with the real images")
    off, ratio, covered = [], [], []
    for path in sorted(Path(folder, "ham10000", "masks").glob("*7_segmentation.png"))[:60]:
        lesion = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127
        name = path.name.replace("_segmentation.png", ".jpg")
        pixels = read_image(path.parents[1] / "images" / name).pixels
        place = find_lesion(pixels)
        y, x = np.nonzero(lesion)
        off.append(np.hypot(place.x - x.mean(), place.y - y.mean()) / place.unit)
        ratio.append(place.radius / np.sqrt(len(x) / np.pi))
        covered.append(apply("ink", pixels, intensity=1.0, seed=len(off)).mask[lesion].mean())
    assert len(off) == 60
    assert np.median(off) < 0.07
    assert np.quantile(off, 0.9) < 0.2
    assert 0.8 < np.median(ratio) < 1.25
    assert np.mean(covered) < 0.05


def test_black_corners_are_no_lesion_and_without_one_it_is_the_middle() -> None:
    pixels = np.full((100, 160, 3), 200, np.uint8)
    pixels[:40, :40] = 0
    place = find_lesion(pixels)
    assert (place.x, place.y, place.radius) == (80, 50, 25)
    x, y = place.around(0.0, 10_000.0)
    assert 0 < y < 100
    assert 150 < x < 160


def test_a_stain_follows_beer_and_lambert_by_hand() -> None:
    pixels = np.full((8, 8, 3), 200, np.uint8)
    amount = np.zeros((8, 8), np.float32)
    amount[2, 3], amount[4, 4] = 1.0, LEAST / 2
    found, mask = stain(pixels, amount, VIOLET)
    assert found[2, 3].tolist() == np.rint(200 * np.exp(-np.array(VIOLET))).tolist()
    assert mask.sum() == 1
    assert (found != pixels).any(axis=2).sum() == 1


def test_a_cover_hides_by_its_opacity_by_hand() -> None:
    pixels = np.full((8, 8, 3), 100, np.uint8)
    opacity = np.zeros((8, 8), np.float32)
    opacity[0, 0], opacity[0, 1] = 0.5, 3.0
    found, mask = cover(pixels, (1.0, 0.0, 0.2), opacity)
    assert found[0, :2].tolist() == [[178, 50, 76], [255, 0, 51]]
    assert mask.sum() == 2
    each = np.zeros((8, 8, 3), np.float32)
    each[0, 1] = 1.0
    assert cover(pixels, each, opacity)[0][0, :2].tolist() == [[50, 50, 50], [255, 255, 255]]


def test_nothing_to_draw_and_a_line_thinner_than_a_pixel() -> None:
    pixels = noisy((10, 10))
    empty = np.zeros((10, 10), np.float32)
    assert (stain(pixels, empty, VIOLET)[0] == pixels).all()
    assert not lines((10, 10), np.zeros((0, 3, 2)), 1.0).any()
    across = np.array([[[0.0, 5.0], [9.0, 5.0]]])
    assert lines((10, 10), across, 0.5).max() == pytest.approx(0.5, abs=0.05)
    assert lines((10, 10), across, 1.0).max() == pytest.approx(1.0, abs=0.15)
    assert mottle(np.random.default_rng(0), (30, 40), 12.0).shape == (30, 40)


@pytest.mark.parametrize(
    ("name", "intensity", "seed", "message"),
    [
        ("tattoo", 0.5, 0, "no artefact 'tattoo'; there are ink, ruler, hair"),
        ("ink", 1.01, 0, "intensity 1.01 of artefact 'ink': give 0 to 1"),
        ("ink", -0.1, 0, "intensity -0.1 of artefact 'ink'"),
        ("ink", float("nan"), 0, "intensity nan of artefact 'ink'"),
        ("ink", 0.5, -1, "seed -1 is negative"),
    ],
)
def test_what_cannot_be_drawn(name: str, intensity: float, seed: int, message: str) -> None:
    with pytest.raises(ValueRuleError, match=message) as said:
        apply(name, noisy((20, 20)), intensity=intensity, seed=seed)
    assert isinstance(said.value, InputError)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((20, 20, 3), np.float32), np.zeros((20, 20), np.uint8), np.zeros((20, 20, 4), np.uint8), noisy((7, 90))],
)
def test_what_is_no_picture(pixels: np.ndarray) -> None:
    with pytest.raises(ValueRuleError, match=r"artefact 'ruler': a picture of .*; give uint8 \[height, width, 3\]"):
        apply("ruler", pixels, intensity=0.5, seed=0)


def test_drawing_is_fast_enough_for_training() -> None:
    """Mean over the kinds below 5 ms of this thread on 224 px; the best of three rounds, for others work here too."""
    pixels = LESIONS[4].pixels

    def round_of() -> float:
        begun = time.thread_time()
        for name in ARTEFACTS:
            for seed in range(5):
                apply(name, pixels, intensity=0.8, seed=seed)
        return (time.thread_time() - begun) / (5 * len(ARTEFACTS))

    assert min(round_of() for _ in range(3)) < 0.005
