"""Raw output of a model, and answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.prediction import Answer, Prediction
from dermoscope.core.taxonomy import ISIC2019, Diagnosis, Taxonomy

TWO = Taxonomy("two", (Diagnosis("BAD", "bad", "malignant"), Diagnosis("OK", "fine", "benign")))


def test_probabilities_by_hand() -> None:
    # Two views of one image: odds 3:1 and 1:1, so (0.75 + 0.5) / 2.
    logits = np.log(np.array([[[3.0, 1.0], [2.0, 2.0]]]))
    made = Prediction(("a",), TWO, logits)
    assert len(made) == 1
    np.testing.assert_allclose(made.probabilities().values, [[0.625, 0.375]])


def test_temperature_divides_the_logits() -> None:
    made = Prediction(("a",), TWO, np.array([[[2 * np.log(3.0), 0.0]]]))
    np.testing.assert_allclose(made.probabilities(2.0).values, [[0.75, 0.25]])


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_must_be_above_zero(temperature: float) -> None:
    with pytest.raises(ValueRuleError, match=f"a temperature of {temperature}; it must be finite and above 0"):
        Prediction(("a",), TWO, np.zeros((1, 1, 2))).probabilities(temperature)


@given(
    arrays(
        np.float32, st.tuples(st.integers(1, 5), st.integers(1, 4), st.just(8)), elements=st.floats(-300, 300, width=32)
    ),
    st.floats(0.05, 20),
)
def test_rows_sum_to_one_and_one_view_keeps_its_maximum(logits: np.ndarray, temperature: float) -> None:
    names = tuple(f"i{n}" for n in range(len(logits)))
    np.testing.assert_allclose(Prediction(names, ISIC2019, logits).probabilities(temperature).values.sum(axis=1), 1)
    single = Prediction(names, ISIC2019, logits[:, :1])
    values = single.probabilities(temperature).values
    best = logits[:, 0].argmax(axis=1)
    np.testing.assert_allclose(values[np.arange(len(best)), best], values.max(axis=1))


@given(arrays(np.float64, (3, 4, 8), elements=st.floats(-50, 50)), st.permutations(range(4)))
def test_the_order_of_views_does_not_matter(logits: np.ndarray, order: list[int]) -> None:
    straight = Prediction(("a", "b", "c"), ISIC2019, logits.copy()).probabilities()
    turned = Prediction(("a", "b", "c"), ISIC2019, logits[:, order]).probabilities()
    np.testing.assert_allclose(straight.values, turned.values, atol=1e-12)


def test_arrays_are_read_only_and_the_callers_stay_free() -> None:
    logits, embedding = np.zeros((1, 1, 2)), np.zeros((1, 3))
    made = Prediction(("a",), TWO, logits, embedding)
    assert made.embedding is not None
    for array in (made.logits, made.embedding):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    logits[0] = 7
    embedding[0] = 7
    assert made.logits.max() == 0
    assert made.embedding.max() == 0


def test_no_images() -> None:
    empty = Prediction((), TWO, np.zeros((0, 0, 2)))
    assert len(empty) == 0


@pytest.mark.parametrize(
    ("names", "logits", "more", "message"),
    [
        (("a", "b"), np.zeros((1, 1, 2)), {}, "logits (1, 1, 2) do not fit 2 ids x 2"),
        (("a",), np.zeros((1, 1, 3)), {}, "logits (1, 1, 3) do not fit 1 ids x 2"),
        (("a",), np.zeros((1, 0, 2)), {}, "logits (1, 0, 2) do not fit 1 ids x 2"),
        (("a", "a"), np.zeros((2, 1, 2)), {}, "ids stand more than once: a"),
        (("a",), np.zeros((1, 1, 2)), {"quality": ({}, {})}, "quality has 2 rows for 1 cases"),
        (("a", "b"), np.array([[[0.0, 1.0]], [[np.nan, 1.0]]]), {}, "logits are not finite: b"),
        (("a", "b"), np.array([[[np.inf, 1.0]], [[0.0, 1.0]]]), {}, "logits are not finite: a"),
    ],
)
def test_what_does_not_fit(names: tuple[str, ...], logits: np.ndarray, more: dict[str, object], message: str) -> None:
    with pytest.raises(ValueRuleError) as caught:
        Prediction(names, TWO, logits, **more)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_an_answer_needs_a_reason() -> None:
    answer = Answer("refer", ("melanoma cannot be ruled out",), {"melanoma": 0.2})
    assert answer.figures["melanoma"] == 0.2
    with pytest.raises(ValueRuleError, match=r"^an answer \(low_concern\) needs at least one reason$"):
        Answer("low_concern", ())
