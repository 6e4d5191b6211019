"""Submissions: what each form promises, and that the official scorer takes both for both challenges."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isic_challenge_scoring.classification import ClassificationMetric, ClassificationScore

from dermoscope.core.errors import InputError, TableError, ValueRuleError
from dermoscope.core.probabilities import Probabilities, Scores
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, TAXONOMIES
from dermoscope.core.truth import with_unknown
from dermoscope.data.files import write_scores
from dermoscope.data.submission import (
    CHALLENGES,
    at_operating_points,
    check_images,
    for_challenge,
    operating_points,
    read_strangeness,
    with_strangeness,
)

# The official scorer is written for pandas 2.
pytestmark = pytest.mark.filterwarnings("ignore:The .*(inplace|verify_integrity).* keyword")

CODES = ISIC2019.codes
NINE = with_unknown(ISIC2019)


def drawn(seed: int, n: int = 60, taxonomy: str = "isic2019") -> Probabilities:
    rng = np.random.default_rng(seed)
    known = TAXONOMIES[taxonomy]
    return Probabilities(tuple(f"i{k}" for k in range(n)), known, rng.dirichlet(np.full(len(known), 0.4), n))


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=8, max_size=8), min_size=1, max_size=6),
    st.lists(st.floats(0.001, 0.999), min_size=8, max_size=8),
)
def test_argmax_stays_and_half_is_the_operating_point(rows: list[list[float]], points: list[float]) -> None:
    p, t = np.array(rows), np.array(points)
    before = Scores(tuple(map(str, range(len(p)))), ISIC2019, p)
    mapped = at_operating_points(before, dict(zip(CODES, points, strict=True)))
    q = mapped.scores.values
    first = p.argmax(axis=1)
    assert (q.argmax(axis=1) == first).all()
    assert (np.sum(q == q.max(axis=1, keepdims=True), axis=1) == 1).all()  # the scorer calls a tie an error
    wanted, found = p > t, q > 0.5
    for row, k in enumerate(first):
        impossible = not wanted[row, k] and wanted[row].any()
        assert (before.ids[row] in mapped.conflicts) == impossible
        expected = wanted[row].copy()
        expected[k] |= impossible  # the one decision that gives way
        assert (found[row] == expected).all()


@given(st.integers(0, 10**6), st.floats(0.02, 0.98))
def test_a_column_that_is_never_largest_keeps_its_order(seed: int, point: float) -> None:
    probabilities = drawn(seed)
    mapped = at_operating_points(probabilities, {"MEL": point}).scores.values[:, 0]
    others = probabilities.predicted != 0
    before, after = probabilities.values[others, 0], mapped[others]
    assert (np.diff(after[np.argsort(before)]) >= 0).all()


def test_operating_points_by_hand() -> None:
    p = Scores(("plain", "low", "conflict"), ISIC2018, np.array([[0.6, 0.4], [0.1, 0.05], [0.25, 0.45]]) @ np.eye(2, 7))
    mapped = at_operating_points(p, {"MEL": 0.2, "NV": 0.9})
    assert mapped.conflicts == ("conflict",)
    plain, low, conflict = mapped.scores.values
    assert plain[:2] == pytest.approx([0.51 + 0.48 * 0.5, 0.49 * 0.4 / 0.9])
    assert low[:2] == pytest.approx([0.245, 0.49 * 0.05 / 0.9])
    assert conflict[0] == pytest.approx(0.51 + 0.48 * 0.05 / 0.8)  # melanoma is still called present
    assert conflict[1] == pytest.approx((conflict[0] + 1) / 2)  # and the nevus is still the diagnosis


@given(st.integers(0, 10**6), st.floats(0.01, 0.99))
def test_unknown_is_largest_exactly_above_the_limit(seed: int, limit: float) -> None:
    known = drawn(seed)
    rank = np.random.default_rng(seed).random(len(known))
    rank[:2] = limit, 1.0
    found = with_strangeness(known, rank, limit)
    assert found.taxonomy == NINE
    assert ((found.predicted == 8) == (rank > limit)).all()
    below = rank <= limit
    assert (found.predicted[below] == known.predicted[below]).all()
    assert ((found.values[:, 8] > 0.5) == (rank > limit))[np.abs(rank - limit) > 1e-9].all()
    assert (np.diff(found.values[np.argsort(rank), 8]) >= 0).all()


def test_without_strangeness_unknown_is_0() -> None:
    known = drawn(1)
    found = with_strangeness(known)
    assert (found.values[:, 8] == 0).all()
    assert (found.values[:, :8] == known.values).all()
    assert with_strangeness(found) is found


def test_the_flat_row_stays_below_unknown_of_the_limit() -> None:
    flat = Probabilities(("a",), ISIC2019, np.full((1, 8), 1 / 8))
    assert with_strangeness(flat, np.array([0.99])).predicted[0] == 0


def test_isic2018_merges() -> None:
    given_ = drawn(2)
    found = for_challenge(given_, "isic2018")
    assert found.taxonomy == ISIC2018
    np.testing.assert_allclose(found.column("AKIEC"), given_.of_codes(("AK", "SCC")))
    seven = drawn(2, taxonomy="isic2018")
    assert (for_challenge(seven, "isic2018").values == seven.values).all()


@pytest.mark.parametrize(
    ("scores", "challenge", "message"),
    [
        (drawn(0), "isic2020", "no challenge 'isic2020'; there are isic2019, isic2018"),
        (drawn(0, taxonomy="isic2018"), "isic2019", "AKIEC cannot be told apart into AK and SCC"),
        (with_strangeness(drawn(0)), "isic2018", "UNK has no column there"),
        (Scores(("a",), ISIC2019, np.full((1, 8), 0.5)), "isic2019", "rows that do not sum to 1: a; give those of"),
    ],
)
def test_what_cannot_be_submitted(scores: Scores, challenge: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        for_challenge(scores, challenge)


def test_strangeness_that_does_not_fit() -> None:
    known = drawn(0, n=2)
    with pytest.raises(InputError, match="hold a column UNK already; leave it out, or give no --ood"):
        with_strangeness(with_strangeness(known), np.zeros(2))
    with pytest.raises(ValueRuleError, match=r"strangeness outside \[0, 1\]: i1"):
        with_strangeness(known, np.array([0.5, np.nan]))
    with pytest.raises(ValueRuleError, match="strangeness limit 1: it must be between 0 and 1"):
        with_strangeness(known, np.zeros(2), 1.0)
    with pytest.raises(InputError, match="isic2018 has no column UNK"):
        with_strangeness(drawn(0, taxonomy="isic2018"), np.zeros(60))


def test_operating_points_as_text() -> None:
    assert operating_points(["MEL=0.2", "0.3"], ISIC2018) == {**dict.fromkeys(ISIC2018.codes, 0.3), "MEL": 0.2}
    for text, message in (
        ("MEL", "--at MEL: expected CODE=NUMBER"),
        ("mel=0.2", "'mel' is not one of MEL, NV"),
        ("MEL=1", "--at MEL=1: an operating point lies between 0 and 1"),
    ):
        with pytest.raises(InputError, match=message):
            operating_points([text], ISIC2018)
    with pytest.raises(ValueRuleError, match="operating point MEL=0: it must be between 0 and 1"):
        at_operating_points(drawn(0), {"MEL": 0.0})


def test_strangeness_is_read_from_both_kinds_of_file(tmp_path: Path) -> None:
    printed, table = tmp_path / "a.json", tmp_path / "b.csv"
    printed.write_text(json.dumps([{"image": "x", "ood": 0.25}, {"image": "y", "ood": None}]))
    table.write_text("image,ood\nz,0.75\n")
    assert read_strangeness([table, printed], ["x", "z"]).tolist() == [0.25, 0.75]
    with pytest.raises(TableError, match="no strangeness of y; a bundle without statistics gives none"):
        read_strangeness([printed], ["x", "y"])
    with pytest.raises(TableError, match=r"b\.csv: z stands twice"):
        read_strangeness([table, table], ["z"])
    table.write_text("image,score\nz,0.75\n")
    with pytest.raises(TableError, match=r"columns image, score; needed are image and ood"):
        read_strangeness([table], ["z"])
    table.write_text("image,ood\nz,much\n")
    with pytest.raises(TableError, match="'much' in the column ood"):
        read_strangeness([table], ["z"])
    printed.write_text("{}x")
    with pytest.raises(TableError, match="not what `dermoscope classify --json` prints"):
        read_strangeness([printed], ["x"])


def test_exactly_the_images_of_a_list(tmp_path: Path) -> None:
    wanted = tmp_path / "list.csv"
    wanted.write_text("image,MEL\ni0,1\ni1,0\n")
    check_images(drawn(0, n=2), wanted)
    with pytest.raises(TableError, match="1 images without a prediction: i1"):
        check_images(drawn(0, n=1), wanted)
    with pytest.raises(TableError, match="1 images that the list does not have: i2"):
        check_images(drawn(0, n=3), wanted)


@pytest.mark.parametrize("challenge", CHALLENGES)
@pytest.mark.parametrize("form", ["calibrated", "operating-point"])
def test_the_official_scorer_takes_it(challenge: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pd.DataFrame, "applymap", pd.DataFrame.map, raising=False)
    rng = np.random.default_rng(4)
    codes = CHALLENGES[challenge].codes
    scores: Scores = for_challenge(drawn(5, n=90), challenge)
    if challenge == "isic2019":
        scores = with_strangeness(for_challenge(drawn(5, n=90), challenge), rng.random(90), 0.9)
    labels = np.append(np.arange(len(codes)), rng.integers(0, len(codes), 90 - len(codes)))
    plain = scores.values.argmax(axis=1)
    points = {"MEL": 0.2, "NV": 0.8}
    if form == "operating-point":
        scores = at_operating_points(scores, points).scores
    truth = pd.DataFrame(np.eye(len(codes))[labels], columns=list(codes))
    truth.insert(0, "image", scores.ids)
    file = io.StringIO()
    write_scores(file, scores)
    file.seek(0)
    target = ClassificationMetric.BALANCED_ACCURACY
    official = ClassificationScore.from_stream(io.StringIO(truth.to_csv(index=False)), file, target)
    recalls = [(plain[labels == c] == c).mean() for c in range(len(codes))]
    assert official.overall == pytest.approx(np.mean(recalls))  # both forms: the argmax is that of the probabilities
    if form == "operating-point":
        referred = (scores.column("MEL") > 0.5)[labels == 0].mean()
        assert official.per_category.at["MEL", "sensitivity"] == pytest.approx(referred)
