"""Skin markings: the crop, the figures, their paired differences, and a short form on drawn lesions."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.synthetic import draw, encode
from dermoscope.predict.predictor import Predictor
from dermoscope.report.plots import drawn as plotted
from dermoscope.studies import winkler2019, winkler2019_drawn, winkler2019_figures, winkler2019_mended, winkler2019_real
from dermoscope.studies import winkler2019_scores as scores
from dermoscope.studies.base import Asked, Context
from dermoscope.studies.results import run_study
from dermoscope.studies.winkler2019_drawn import Arm, Bench, capped, clear_window
from dermoscope.studies.winkler2019_figures import Lesions, auc_of, changes, flips, levels
from dermoscope.studies.winkler2019_scores import Looked

ONES = np.ones((4, 1))


def looked(melanoma: list[float], referred: list[int], served: list[str] | None = None) -> Looked:
    kinds = served or ["refer" if r else "low_concern" for r in referred]
    return Looked(np.array(melanoma), np.array(referred, bool), tuple(kinds))  # type: ignore[arg-type]


def lesions(melanoma: list[int]) -> Lesions:
    names = tuple(f"L{k}" for k in range(len(melanoma)))
    return Lesions(names, names, np.array(melanoma, bool))


def test_a_crop_is_the_largest_square_that_leaves_the_mark_out() -> None:
    mask = np.zeros((100, 120), bool)
    assert clear_window(mask) == (0, 10, 100)
    mask[:10] = True
    assert clear_window(mask) == (10, 15, 90)
    mask[:, 100:] = True
    assert clear_window(mask) == (10, 10, 90)
    mask[50, 60] = True
    assert clear_window(mask) is None


@given(st.integers(0, 2**32 - 1))
def test_a_crop_holds_the_middle_and_no_mark(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(40, 90, 2))
    mask = rng.random((height, width)) < rng.choice([0.0005, 0.002])
    least = round(0.4 * min(height, width))
    top, left = (height - least) // 2, (width - least) // 2
    found = clear_window(mask)
    assert (found is None) == mask[top : top + least, left : left + least].any()
    if found is not None:
        y, x, side = found
        assert not mask[y : y + side, x : x + side].any()
        assert y <= top
        assert x <= left
        assert y + side >= top + least
        assert x + side >= left + least
        assert 0 <= y <= height - side
        assert 0 <= x <= width - side


def test_auc_counts_ties_by_half_and_weights_pairs() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 6, 30) / 6, rng.integers(0, 5, 50) / 6
    a, b = rng.integers(0, 4, (30, 3)).astype(float), rng.integers(0, 4, (50, 3)).astype(float)
    found = auc_of(positive, negative, a, b)
    for k in range(3):
        truth = np.repeat([1, 0], [30, 50])
        expected = roc_auc_score(truth, np.concatenate([positive, negative]), sample_weight=np.r_[a[:, k], b[:, k]])
        assert found[k] == pytest.approx(expected)


def test_the_same_look_twice_has_no_difference_and_another_has() -> None:
    held = lesions([1, 1, 1, 0, 0, 0, 0, 0])
    before = looked([0.9, 0.6, 0.4, 0.3, 0.2, 0.2, 0.1, 0.5], [1, 1, 0, 0, 0, 0, 0, 1])
    for difference in changes(held, before, before).values():
        assert (difference.estimate.value, difference.estimate.low, difference.estimate.high) == (0, 0, 0)
        assert difference.p_value == 1
    after = looked([0.9, 0.6, 0.4, 0.5, 0.5, 0.2, 0.1, 0.5], [1, 1, 0, 1, 1, 0, 0, 1])
    found = changes(held, after, before)
    assert found["nevi referred"].estimate.value == pytest.approx(2 / 5)
    assert found["nevi referred"].estimate.n == 5
    assert found["melanomas referred"].estimate.value == 0
    assert found["log-odds of melanoma, nevi"].estimate.value == pytest.approx((np.log(7 / 3) + np.log(4)) / 5)
    assert found["AUC"].estimate.value == pytest.approx(12 / 15 - 14 / 15)
    assert levels(held, after)["specificity"].value == pytest.approx(2 / 5)
    assert levels(held, after)["sensitivity"].value == pytest.approx(2 / 3)


def test_turns_are_counted_among_those_who_had_the_first_answer() -> None:
    held = lesions([1, 1, 0, 0, 0, 0])
    before = looked([0.5] * 6, [1] * 6, ["refer", "refer", "low_concern", "low_concern", "refer", "cannot_assess"])
    after = looked([0.5] * 6, [1] * 6, ["low_concern", "refer", "refer", "cannot_assess", "low_concern", "refer"])
    found = {name: (e.value, e.n) for name, e in flips(held, after, before).items()}
    assert found == {
        "nevi: low concern turns to refer": (0.5, 2),
        "nevi: refer turns to low concern": (1.0, 1),
        "melanomas: refer turns to low concern": (0.5, 2),
        "assessed turns to cannot assess": (0.2, 5),
    }


def test_false_positives_are_counted_at_the_score_that_clean_melanomas_reach() -> None:
    melanomas = np.arange(1, 21) / 20  # 19 of 20 reach 0.1
    nevi = np.array([0.04, 0.05, 0.1, 0.3])
    found = winkler2019_mended.false_positive_rate(melanomas, nevi, np.ones((20, 1)), ONES)
    assert found[0] == pytest.approx(0.5)
    weights = np.ones((20, 1))
    weights[:2] = 0  # then 18 of 18 is more than 95 %, 17 less than 18: the lowest that counts is 0.15
    assert winkler2019_mended.false_positive_rate(melanomas, nevi, weights, ONES)[0] == pytest.approx(0.25)


def test_lesions_of_a_diagnosis_are_capped_by_their_hash() -> None:
    cases = [Case(f"I{k}", diagnosis="NV" if k % 2 else "MEL", lesion_id=f"L{k}") for k in range(20)]
    few, fewer = (capped(cases, {"NV": n, "MEL": None}) for n in (4, 2))
    assert [sum(c.diagnosis == code for c in few) for code in ("NV", "MEL")] == [4, 10]
    assert set(fewer) < set(few)
    assert capped(cases[::-1], {"NV": 4})[::-1] == capped(cases, {"NV": 4})


def test_what_cannot_be_measured_is_refused(asked: Asked) -> None:
    for settings, said in (({"role": "tests"}, "the roles are"), ({"nevi": "0"}, "a number of lesions"),
                           ({"views": "1"}, "changes nothing")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            winkler2019.plan(replace(asked, settings=settings))
    one = replace(asked, bundle="only-one")
    with pytest.raises(InputError, match="give two"):
        winkler2019_mended.trained_rows(_context(one, Path("unused")), (), "nowhere")


def _context(asked: Asked, folder: Path) -> Context:
    return Context(asked, winkler2019.plan(asked), folder, folder / "cache")


@pytest.fixture
def few(asked: Asked, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The study asked of a tiny bundle, with two intensities of few artefacts and few resamples."""
    monkeypatch.setattr(winkler2019, "BUNDLE", str(bundle_folder))
    arms = (Arm("ink", 0.6), Arm("ink", 1.0), Arm("blur", 1.0))
    monkeypatch.setattr(winkler2019, "every_arm", lambda: arms)
    monkeypatch.setattr(winkler2019_mended, "ARMS", arms)
    monkeypatch.setattr(winkler2019_mended, "SEEDS", 1)
    monkeypatch.setattr(winkler2019_figures, "RESAMPLES", 50)
    return replace(asked, settings={**asked.settings, "role": "training", "nevi": "4", "melanomas": "3"})


def test_the_short_form_measures_every_arm(few: Asked, bundle_folder: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: no head can be trained")
    rows = run_study(winkler2019.STUDY, replace(few, bundle=f"{bundle_folder},{bundle_folder}")).rows
    names = [row.name for row in rows]
    arms = ["ink 0.6", "ink 1", "blur 1"]
    assert names[:4] == ["clean", *arms]
    assert [n for n in names if n.startswith("quick")] == ["quick: clean", *(f"quick: {arm}" for arm in arms)]
    assert [n for n in names if n.startswith("trained")] == ["trained: clean", *(f"trained: {arm}" for arm in arms)]
    assert [c.value for c in rows[0].claims] == [0.957, 0.841, 0.969]
    for row in rows:
        for m in row.measured:
            assert m.estimate.value is None or -20 < m.estimate.value < 20
            assert (m.p_holm is None) or m.p_holm >= (m.p_value or 0)
    for row in rows:  # the same bundle twice differs in nothing
        if row.name.startswith("trained"):
            assert all(m.estimate.value == 0 for m in row.measured if m.against)
    shown = winkler2019.plots(rows)
    assert {"nevi", "score", "arms", "mended-quick", "mended-trained", "mended-rule"} <= {plot.name for plot in shown}
    assert all(b"<svg" in plotted(plot) for plot in shown)


@pytest.fixture
def bench(few: Asked, tmp_path: Path) -> Bench:
    context = _context(few, tmp_path)
    cases = context.plan.held.cases
    return Bench(context, Predictor.load(winkler2019.BUNDLE), cases, "drawn lesions")


def test_another_quality_gate_asks_for_no_second_look(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench.look(Arm("ink", 1.0))
    monkeypatch.setattr(scores, "_run", lambda *_: pytest.fail("the network looked again"))
    monkeypatch.setattr(scores, "_quality_version", lambda: "another")
    monkeypatch.setattr(scores, "quality_of", lambda *_: dict.fromkeys(scores.FIGURES, 0.0))  # 0 px wide: too small
    again = bench.look(Arm("ink", 1.0))
    assert np.array_equal(first.melanoma, again.melanoma)
    assert np.array_equal(first.referred, again.referred)
    assert set(again.served) == {"cannot_assess"}


def test_a_crop_of_the_marked_picture_is_that_of_the_clean_one(bench: Bench) -> None:
    kept, plain, marked = bench.cropped(Arm("ink", 0.6))
    assert len(plain.melanoma) == len(marked.melanoma) == len(kept)
    for row in kept:
        arm, case = Arm("ink", 0.6), bench.cases[row]
        shown = arm.of(case)
        window = clear_window(shown.mask)
        assert window is not None
        difference = np.abs(winkler2019_drawn.cut_out(shown.pixels, window).astype(int)
                            - winkler2019_drawn.cut_out(winkler2019_drawn.clean(case), window))  # fmt: skip
        assert difference.max() <= 8


def test_what_occurs_twice_is_looked_at_once(predictor: Predictor) -> None:
    a, b = (draw(seed, size=(96, 96)).pixels for seed in (1, 2))
    found = scores._run(predictor, [a, b, a])["logits"]
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])
    assert np.array_equal(found[:2], predictor.predict([a, b]).logits)


def test_real_marks_are_matched_with_pictures_of_the_same_diagnosis(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = []
    for k in range(9):
        path = tmp_path / f"R{k}.jpg"
        path.write_bytes(encode(draw(k, "NV", (96, 96)).pixels))
        cases.append(Case(f"R{k}", path, "NV"))
    found = {"R0": {"ink": True}, "R1": {"ink": True}, "R2": {"ink": False}, "R3": {"ink": True}}

    def mask(_: str, pixels: np.ndarray) -> np.ndarray:
        out = np.zeros(pixels.shape[:2], bool)
        out[:20] = True
        return out

    monkeypatch.setattr(winkler2019_real, "mask_of", mask)
    held = winkler2019_real.matched(CaseSet(tuple(cases), ISIC2019), found, "ink", "NV")
    # five without a finding serve two marked lesions; the third has too few left
    assert {c.image_id for c in held.marked} < {"R0", "R1", "R3"}
    assert len(held.marked) == 2
    controls = [c.image_id for others in held.controls for c in others]
    assert len(set(controls)) == 4
    assert not set(controls) & set(found)
    assert held.windows[0] == (20, 10, 76)
    look = winkler2019_real._look(bench.context, bench.predictor, held)
    assert len(look.melanoma) == 2 * 2 + 2 * 2 * 2
    rows = winkler2019_real._rows(bench.predictor, [held], [look])
    share = winkler2019_real.shares(look.log_odds, 2)
    both = next(m for m in rows[0].measured if m.metric == "log-odds of melanoma" and "minus" in m.against)
    expected = (share.cropped - share.whole).mean() - (share.control_cropped - share.control_whole).mean()
    assert both.estimate.value == pytest.approx(expected)


def test_the_order_of_names_is_that_of_the_figures() -> None:
    values = np.array([1.0, 2, 3, 5, 10, 20, 30, 40, 0, 1, 2, 4])  # two marked, two controls each: whole, cropped
    found = winkler2019_real.shares(values, 2)
    assert found.whole.tolist() == [1, 3]
    assert found.cropped.tolist() == [2, 5]
    assert found.control_whole.tolist() == [20, 1]
    assert found.control_cropped.tolist() == [30, 2.5]


def test_the_shipped_table_names_kinds_and_what_the_eye_said() -> None:
    table = Path(winkler2019_real.__file__).parent / "results" / winkler2019_real.TABLE
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert rows
    assert {"image", "kind", "seen"} <= set(rows[0])
    found = winkler2019_real.marked_by_eye()
    assert any(held.get("ink") for held in found.values())


@pytest.mark.usefixtures("few")
def test_a_sheet_shows_drawn_lesions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermoscope.studies.winkler2019_shown.OF_EACH", 1)
    made = winkler2019.contact(Asked("drawn"))
    assert made[:2] == b"\xff\xd8"
