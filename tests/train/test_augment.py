"""Random variation of training pictures."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermoscope.core.errors import RecipeError
from dermoscope.data.artefacts import ARTEFACTS
from dermoscope.data.crop import warp
from dermoscope.data.synthetic import draw
from dermoscope.train.augment import STILL, Augmentation, augment, draw_colour, draw_matrix

ALL = Augmentation(cutout_p=1, resolution_p=1, jpeg_p=1)
PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
GREY = [[v, v, v] for v in (0.0, 90.0, 255.0)]


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(deadline=None)  # others may hold the cores
@given(st.integers(0, 2**32 - 1), st.integers(16, 72), st.sampled_from([Augmentation(), ALL, STILL]))
def test_shape_and_dtype_never_change_and_a_seed_repeats(seed: int, size: int, bounds: Augmentation) -> None:
    before = PICTURE.copy()
    found = augment(PICTURE, size, bounds, rng(seed))
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, augment(PICTURE, size, bounds, rng(seed)))
    np.testing.assert_array_equal(PICTURE, before)


def test_another_seed_gives_another_picture() -> None:
    assert (augment(PICTURE, 48, Augmentation(), rng(1)) != augment(PICTURE, 48, Augmentation(), rng(2))).any()


def test_a_read_only_picture_is_enough() -> None:
    frozen = PICTURE.copy()
    frozen.flags.writeable = False
    assert augment(frozen, 32, ALL, rng(0)).shape == (32, 32, 3)


def test_without_bounds_only_flips_are_left() -> None:
    centre = PICTURE[:, 10:70]
    found = [augment(PICTURE, 60, STILL, rng(seed)) for seed in range(20)]
    mirrored = [bool((f == centre[:, ::-1]).all()) for f in found]
    plain = [bool((f == centre).all()) for f in found]
    assert all(a != b for a, b in zip(mirrored, plain, strict=True))
    assert any(mirrored)
    assert any(plain)


def test_vertical_flips_make_every_flip_a_quarter_of_the_pictures() -> None:
    centre = PICTURE[:, 10:70]
    wanted = [centre, centre[:, ::-1], centre[::-1], centre[::-1, ::-1]]
    bounds = replace(STILL, vertical=True)
    found = [augment(PICTURE, 60, bounds, rng(seed)).astype(int) for seed in range(80)]
    which = [int(np.argmin([np.abs(f - w).max() for w in wanted])) for f in found]
    assert max(np.abs(f - wanted[k]).max() for f, k in zip(found, which, strict=True)) <= 2
    assert min(np.bincount(which, minlength=4)) >= 10


def test_colour_without_bounds_is_the_identity() -> None:
    np.testing.assert_allclose(draw_colour(rng(0), STILL), np.eye(3, 4), atol=1e-12)


@given(st.integers(0, 10**6))
def test_hue_and_saturation_keep_grey_grey(seed: int) -> None:
    matrix = draw_colour(rng(seed), replace(STILL, hue=180, saturation=0.9))
    for grey in GREY:
        np.testing.assert_allclose(matrix @ [*grey, 1], grey, atol=1e-9)


def test_a_hue_of_a_third_turn_rotates_the_channels() -> None:
    # the draw is uniform in +-120: the extreme draw is what the bound says
    matrix = draw_colour(_Extreme(), replace(STILL, hue=120))  # type: ignore[arg-type]
    np.testing.assert_allclose(matrix @ [200, 100, 50, 1], [50, 200, 100], atol=1e-9)


class _Extreme:
    """Draws the upper bound."""

    def uniform(self, _: float, high: float, size: int | None = None) -> object:
        return high if size is None else np.full(size, high)


def test_saturation_contrast_and_brightness_by_hand() -> None:
    top = _Extreme()
    colour = np.array([200.0, 100.0, 50.0, 1.0])
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    saturated = draw_colour(top, replace(STILL, saturation=0.5)) @ colour  # type: ignore[arg-type]
    np.testing.assert_allclose(saturated, luma + 1.5 * (colour[:3] - luma))
    contrasted = draw_colour(top, replace(STILL, contrast=0.2)) @ colour  # type: ignore[arg-type]
    np.testing.assert_allclose(contrasted, 127.5 + 1.2 * (colour[:3] - 127.5))
    brighter = draw_colour(top, replace(STILL, brightness=0.1)) @ colour  # type: ignore[arg-type]
    np.testing.assert_allclose(brighter, colour[:3] + 25.5)
    gained = draw_colour(top, replace(STILL, gain=0.05)) @ colour  # type: ignore[arg-type]
    np.testing.assert_allclose(gained, 1.05 * colour[:3])


@given(st.integers(0, 10**6))
def test_framings_stay_within_their_bounds(seed: int) -> None:
    bounds = Augmentation(shear=0, shift=0.1)
    matrix = draw_matrix(rng(seed), bounds, (90, 120), 45)
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    assert 2 / bounds.zoom[1] - 1e-9 <= scale <= 2 / bounds.zoom[0] + 1e-9
    stretched = np.linalg.svd(matrix[:, :2], compute_uv=False)
    assert stretched[0] / stretched[1] <= bounds.aspect + 1e-9
    moved = np.abs(matrix @ [22, 22, 1] - [59.5, 44.5])
    assert moved.max() <= 0.1 * 90 / bounds.zoom[0] + 1e-9


def test_angles_fill_their_range() -> None:
    bounds = replace(STILL, angle=30)
    angles = []
    for seed in range(300):
        linear = draw_matrix(rng(seed), bounds, (64, 64), 64)[:, :2]
        angles.append(np.degrees(np.arctan2(-linear[0, 1], linear[1, 1])))
    assert -30 <= min(angles) < -27
    assert 27 < max(angles) <= 30


def test_a_cut_out_is_one_square_of_the_mean() -> None:
    found = augment(PICTURE, 60, replace(STILL, cutout=(0.5, 0.5), cutout_p=1), rng(4))
    centre = PICTURE[:, 10:70]
    changed = (found != centre).any(axis=2)
    if changed.mean() > 0.5:
        changed = (found != centre[:, ::-1]).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert len(rows) == len(columns) == 30
    inside = found[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert (inside == inside[0, 0]).all()
    np.testing.assert_allclose(inside[0, 0], centre.mean(axis=(0, 1)), atol=1)


def test_reduced_resolution_takes_detail_away() -> None:
    blurred = augment(PICTURE, 60, replace(STILL, resolution=0.3, resolution_p=1), rng(1))
    assert (
        np.abs(np.diff(blurred.astype(int), axis=1)).mean() < 0.6 * np.abs(np.diff(PICTURE.astype(int), axis=1)).mean()
    )


WITH = replace(STILL, artefacts=("ink", "exposure"), artefact_p=1.0)


def test_an_artefact_is_drawn_with_its_probability_before_framing() -> None:
    lesion = draw(3, "NV", (96, 96)).pixels
    flips = lesion, lesion[:, ::-1]
    often = replace(WITH, artefact_p=0.3)
    marked = [not any((augment(lesion, 96, often, rng(seed)) == f).all() for f in flips) for seed in range(200)]
    assert 0.2 < np.mean(marked) < 0.4
    changed = [(augment(lesion, 96, WITH, rng(seed)) != lesion).any(axis=2) for seed in range(40)]
    changed += [(augment(lesion, 96, WITH, rng(seed)) != lesion[:, ::-1]).any(axis=2) for seed in range(40)]
    shares = np.minimum(*np.split(np.array([c.mean() for c in changed]), 2))
    assert 0.25 < np.mean(shares > 0.5) < 0.75, "ink changes a little of a picture, exposure all of it"


def test_artefacts_are_drawn_up_to_the_intensity_asked_for() -> None:
    lesion = np.full((96, 96, 3), 128, np.uint8)
    bounds = replace(WITH, artefacts=("exposure",))

    def change(most: float) -> float:
        found = [augment(lesion, 96, replace(bounds, artefact_most=most), rng(seed)) for seed in range(60)]
        return float(np.mean([np.abs(f.astype(int) - 128).mean() for f in found]))

    assert change(0.1) < 0.3 * change(1.0)


def test_every_artefact_can_be_drawn_in_training() -> None:
    bounds = replace(Augmentation(), artefacts=tuple(ARTEFACTS), artefact_p=1.0)
    for seed in range(60):
        assert augment(PICTURE, 48, bounds, rng(seed)).shape == (48, 48, 3)
    np.testing.assert_array_equal(augment(PICTURE, 48, bounds, rng(1)), augment(PICTURE, 48, bounds, rng(1)))


def test_without_artefacts_nothing_else_is_drawn_than_before() -> None:
    """The draws of a batch in their order, done by hand: an old run that is resumed sees the pictures it would have."""
    bounds = replace(Augmentation(), jpeg_p=0.0, cutout_p=0.0)
    named = replace(bounds, artefacts=("ink", "hair"), artefact_most=0.5)
    for seed in range(40):
        own = rng(seed)
        reduced = max(16, round(48 * own.uniform(bounds.resolution, 1.0))) if own.random() < 0.35 else 48
        wanted = warp(PICTURE, draw_matrix(own, bounds, PICTURE.shape[:2], reduced), reduced)
        own.random()  # whether there is JPEG
        if reduced != 48:
            wanted = cv2.resize(wanted, (48, 48), interpolation=cv2.INTER_LINEAR)
        wanted = cv2.transform(wanted, draw_colour(own, bounds))
        own.random()  # whether there is a cut-out
        for given_ in (bounds, named):
            used = rng(seed)
            np.testing.assert_array_equal(augment(PICTURE, 48, given_, used), wanted)
            assert used.bit_generator.state == own.bit_generator.state


def test_artefacts_that_cannot_be_drawn() -> None:
    with pytest.raises(RecipeError, match="no artefact tattoo; there are ink, ruler, hair"):
        Augmentation(artefacts=("ink", "tattoo"))
    with pytest.raises(RecipeError, match=r"artefact_p=0.3 and no artefacts; name them: artefacts=ink/ruler"):
        Augmentation(artefact_p=0.3)
    with pytest.raises(RecipeError, match=r"augmentation names ink twice"):
        Augmentation(artefacts=("ink", "ruler", "ink"), artefact_p=0.3)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("artefact_p", 1.5),
        ("artefact_p", -0.1),
        ("artefact_most", 0.0),
        ("artefact_most", 1.1),
        ("zoom", (0.0, 1.0)),
        ("zoom", (1.4, 0.7)),
        ("aspect", 0.5),
        ("cutout", (0.1, 1.5)),
        ("resolution", 0.0),
        ("jpeg", 96),
        ("cutout_p", 1.5),
        ("brightness", float("nan")),
        ("jpeg_p", -0.1),
    ],
)
def test_bounds_that_nothing_can_be_drawn_within(setting: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"augmentation has an impossible {setting}"):
        replace(Augmentation(artefacts=("ink",)), **{setting: value})


@pytest.mark.parametrize(
    ("setting", "value"),
    [("shear", -1.0), *((name, value) for name in ("angle", "hue", "shift") for value in (-1.0, math.nan, math.inf))],
)
def test_angles_are_finite_and_not_negative(setting: str, value: float) -> None:
    with pytest.raises(RecipeError, match="an impossible angle, shear, hue or shift"):
        replace(Augmentation(), **{setting: value})
