"""Views of one picture."""

import numpy as np
import pytest

from dermoscope.core.errors import InputError
from dermoscope.data.crop import Frame, frame_matrix, warp
from dermoscope.predict.views import VIEWS, cut, first_views

SQUARE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_the_first_view_is_the_picture() -> None:
    np.testing.assert_array_equal(cut(SQUARE, 32, first_views(1)), SQUARE[None])


def test_the_first_eight_are_the_turns_and_flips_of_a_square() -> None:
    found = {view.tobytes() for view in cut(SQUARE, 32, first_views(8))}
    turned = [np.rot90(s, k) for s in (SQUARE, SQUARE[:, ::-1]) for k in range(4)]
    assert found == {np.ascontiguousarray(t).tobytes() for t in turned}
    assert len(found) == 8


def test_the_rest_come_closer() -> None:
    assert len(VIEWS) == 16
    closer = cut(SQUARE, 32, VIEWS[8:9])[0]
    np.testing.assert_array_equal(closer, warp(SQUARE, frame_matrix((32, 32), 32, Frame(zoom=1.2)), 32))


@pytest.mark.parametrize("count", [0, 17, -1])
def test_counts_that_do_not_exist(count: int) -> None:
    with pytest.raises(InputError, match=f"{count} views per image: give 1 to 16"):
        first_views(count)
