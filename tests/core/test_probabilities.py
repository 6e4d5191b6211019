"""Scores, probabilities and priors: what they refuse, and what they keep true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Prior, Probabilities, Scores
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, ISIC2019_TO_ISIC2018, Diagnosis, Taxonomy

TWO = Taxonomy("two", (Diagnosis("BAD", "bad", "malignant"), Diagnosis("OK", "fine", "benign")))


def rows(count: int, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(width), count)


def ids(count: int) -> tuple[str, ...]:
    return tuple(f"i{n}" for n in range(count))


def of_raw(raw: np.ndarray) -> Probabilities:
    """Probabilities of positive numbers; made in the tests, since the type checker draws random numbers of its own."""
    return Probabilities(ids(len(raw)), ISIC2019, raw / raw.sum(axis=1, keepdims=True))


raws = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(8)), elements=st.floats(0, 1)).map(lambda a: a + 1e-9)


# -------------------------------------------------------------------------------------------------------------- scores


def test_scores_are_copied_and_read_only() -> None:
    mine = np.array([[0.25, 1.0], [0.0, 0.5]])
    scores = Scores(("a", "b"), TWO, mine)
    mine[0, 0] = 0.9
    assert scores.values[0, 0] == 0.25
    assert scores.ids == ("a", "b")
    assert len(scores) == 2
    assert scores.values.dtype == np.float64
    np.testing.assert_array_equal(scores.column("OK"), [1.0, 0.5])
    with pytest.raises(ValueError, match="read-only"):
        scores.values[0, 0] = 0


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (("a",), [[0.1, 0.2, 0.7]], "values have shape (1, 3); ids and two need (1, 2)"),
        (("a", "b"), [[0.1, 0.2]], "values have shape (1, 2); ids and two need (2, 2)"),
        (("a", "b", "a"), [[0.1, 0.2]] * 3, "ids stand more than once: a"),
        (("a", "b"), [[0.1, 0.2], [np.nan, 0.2]], "values that are missing or not finite: b"),
        (("a", "b"), [[np.inf, 0.2], [0.1, 0.2]], "values that are missing or not finite: a"),
        (("a", "b", "c"), [[0.1, 0.2], [-1e-9, 0.2], [0.1, 1.01]], "values outside [0, 1]: b, c"),
    ],
)
def test_scores_name_the_offending_rows(names: tuple[str, ...], values: list[list[float]], message: str) -> None:
    with pytest.raises(ValueRuleError) as caught:
        Scores(names, TWO, np.array(values))
    assert str(caught.value) == message


def test_an_unknown_column() -> None:
    with pytest.raises(ValueRuleError, match="'MEL' is not a diagnosis of two: BAD, OK"):
        Scores(("a",), TWO, np.array([[0.1, 0.2]])).column("MEL")


def test_aligning_reorders_drops_and_refuses() -> None:
    scores = Probabilities(ids(4), ISIC2019, rows(4))
    turned = scores.aligned_to(["i3", "i1"])
    assert isinstance(turned, Probabilities)
    assert turned.ids == ("i3", "i1")
    np.testing.assert_array_equal(turned.values, scores.values[[3, 1]])
    with pytest.raises(ValueRuleError, match=r"^2 of 3 cases have no row: x, y$"):
        scores.aligned_to(["i0", "x", "y"])


def test_no_cases() -> None:
    empty = Probabilities((), ISIC2019, np.zeros((0, 8)))
    assert len(empty) == 0
    assert empty.predicted.shape == (0,)
    assert len(empty.by_lesion([])) == 0
    assert len(empty.merged(ISIC2019_TO_ISIC2018)) == 0
    assert len(scores_of_none().aligned_to([])) == 0


def scores_of_none() -> Scores:
    return Scores(("a",), TWO, np.array([[0.0, 0.0]]))


@given(raws, st.data())
def test_aligning_there_and_back_is_the_identity(raw: np.ndarray, data: st.DataObject) -> None:
    made = of_raw(raw)
    order = data.draw(st.permutations(made.ids))
    np.testing.assert_array_equal(made.aligned_to(order).aligned_to(made.ids).values, made.values)


# -------------------------------------------------------------------------------------------------------- probabilities


def test_rows_must_sum_to_one() -> None:
    values = np.array([[0.5, 0.5], [0.5, 0.4], [0.5, 0.5 + 9e-7]])
    with pytest.raises(ValueRuleError, match=r"^rows that do not sum to 1: b$"):
        Probabilities(("a", "b", "c"), TWO, values)


def test_predicted_is_the_first_of_equal_maxima() -> None:
    made = Probabilities(("a", "b"), TWO, np.array([[0.5, 0.5], [0.4, 0.6]]))
    np.testing.assert_array_equal(made.predicted, [0, 1])


def test_by_lesion_by_hand() -> None:
    made = Probabilities(("a", "b", "c"), TWO, np.array([[0.8, 0.2], [0.1, 0.9], [0.4, 0.6]]))
    lesions = made.by_lesion(["l2", "l1", "l2"])
    assert lesions.ids == ("l2", "l1")
    np.testing.assert_allclose(lesions.values, [[0.6, 0.4], [0.1, 0.9]], atol=1e-15)
    with pytest.raises(ValueRuleError, match=r"^2 lesion ids for 3 rows$"):
        made.by_lesion(["l1", "l2"])


@given(raws, st.data())
def test_by_lesion_does_not_depend_on_the_order(raw: np.ndarray, data: st.DataObject) -> None:
    made = of_raw(raw)
    lesions = data.draw(st.lists(st.sampled_from("pqrs"), min_size=len(made), max_size=len(made)))
    order = data.draw(st.permutations(range(len(made))))
    straight = made.by_lesion(lesions)
    turned = made.aligned_to([made.ids[k] for k in order]).by_lesion([lesions[k] for k in order])
    np.testing.assert_allclose(turned.aligned_to(straight.ids).values, straight.values, atol=1e-12)


@given(raws, st.data())
def test_by_lesion_rows_sum_to_one_and_stay_within_their_images(raw: np.ndarray, data: st.DataObject) -> None:
    made = of_raw(raw)
    lesions = data.draw(st.lists(st.sampled_from("pqrs"), min_size=len(made), max_size=len(made)))
    means = made.by_lesion(lesions)
    np.testing.assert_allclose(means.values.sum(axis=1), 1, atol=1e-12)
    for lesion, mean in zip(means.ids, means.values, strict=True):
        own = made.values[[x == lesion for x in lesions]]
        assert (mean >= own.min(axis=0) - 1e-6).all()
        assert (mean <= own.max(axis=0) + 1e-6).all()


@given(raws)
def test_each_image_its_own_lesion_changes_nothing(raw: np.ndarray) -> None:
    made = of_raw(raw)
    np.testing.assert_allclose(made.by_lesion(made.ids).values, made.values, atol=1e-6)


@given(raws)
def test_merging_adds_up(raw: np.ndarray) -> None:
    made = of_raw(raw)
    merged = made.merged(ISIC2019_TO_ISIC2018)
    assert merged.taxonomy is ISIC2018
    np.testing.assert_allclose(merged.values.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(merged.column("AKIEC"), made.column("AK") + made.column("SCC"), atol=1e-12)
    np.testing.assert_allclose(made.of_codes(["AK", "SCC"]), merged.column("AKIEC"), atol=1e-12)


def test_merging_another_taxonomy_is_refused() -> None:
    with pytest.raises(ValueRuleError, match="a merge map from isic2019 does not fit isic2018"):
        Probabilities(("a",), ISIC2018, rows(1, 7)).merged(ISIC2019_TO_ISIC2018)


# --------------------------------------------------------------------------------------------------------------- priors


def test_priors_by_hand() -> None:
    np.testing.assert_allclose(Prior.uniform(ISIC2019).values, 0.125)
    counted = Prior.from_counts("seen", TWO, [30, 10])
    assert counted.name == "seen"
    np.testing.assert_allclose(counted.values, [0.75, 0.25])
    with pytest.raises(ValueError, match="read-only"):
        counted.values[0] = 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, 0.3, 0.2], "prior 'p': 3 shares for 2 diagnoses"),
        ([1.0, 0.0], "prior 'p': the share of OK is not above 0"),
        ([np.nan, 1.0], "prior 'p': the share of BAD is not above 0"),
        ([-0.5, 1.5], "prior 'p': the share of BAD is not above 0"),
        ([0.5, 0.4], "prior 'p': shares sum to 0.9, not to 1"),
    ],
)
def test_priors_refuse(values: list[float], message: str) -> None:
    with pytest.raises(ValueRuleError) as caught:
        Prior("p", TWO, np.array(values))
    assert str(caught.value) == message


@pytest.mark.parametrize("counts", [[0, 0], [3, 0], [-1, 2]])
def test_counts_must_be_above_zero(counts: list[int]) -> None:
    with pytest.raises(ValueRuleError, match=r"prior 'c': the share of .* is not above 0"):
        Prior.from_counts("c", TWO, counts)


@given(arrays(np.float64, 8, elements=st.floats(1e-3, 1e6)))
def test_counted_priors_sum_to_one(counts: np.ndarray) -> None:
    prior = Prior.from_counts("c", ISIC2019, counts)
    assert prior.values.sum() == pytest.approx(1)
    np.testing.assert_allclose(prior.values / prior.values[0], counts / counts[0])
