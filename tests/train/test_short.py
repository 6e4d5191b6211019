"""The short courses: what the second step goes on from."""

import pytest

from dermoscope.train.recipes import recipe
from dermoscope.train.settings import Recipe
from dermoscope.train.short import LITE0, LITE0_JOINED, LITE1, LITE1_JOINED, LITE2, LITE2_JOINED, RECIPES


@pytest.mark.parametrize(
    ("first", "second"), [(LITE0, LITE0_JOINED), (LITE1, LITE1_JOINED), (LITE2, LITE2_JOINED)], ids=lambda r: r.name
)
def test_the_second_step_goes_on_from_the_first(first: Recipe, second: Recipe) -> None:
    assert (second.backbone, second.size) == (first.backbone, first.size)
    assert second.head == second.average == second.ship == ()
    assert second.seed != first.seed  # other draws than the first epochs had
    assert recipe(first.name) is RECIPES[first.name]
