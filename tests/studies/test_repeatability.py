"""The study of repeatability: its short form on drawn lesions, its copies, and its figures by hand."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.prediction import AnswerKind
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.study import Row
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.splits import role_of
from dermoscope.data.synthetic import draw
from dermoscope.predict.bundle import load
from dermoscope.refine.agreement import repeatability_of
from dermoscope.studies import repeatability, repeatability_rows
from dermoscope.studies.base import Asked
from dermoscope.studies.repeatability_copies import COPIES, Pixels, compressed, cropped
from dermoscope.studies.repeatability_rows import Pictures, agreement, averaged, copied, groups, near
from dermoscope.studies.repeatability_scores import Looked, log_odds
from dermoscope.studies.results import Results, run_study, shipped_results

if TYPE_CHECKING:
    from dermoscope.core.estimate import Estimate

COLUMN = ISIC2019.index("MEL")
SHORT = {"backbone": "test_efficientnet", "size": "64", "phases": "3x64", "pretrained": "false"}


def looked(*said: tuple[str, float]) -> Looked:
    """Answers and log-odds of melanoma; what is not melanoma is a nevus."""
    answers: list[AnswerKind] = [kind for word, _ in said for kind in get_args(AnswerKind) if kind == word]
    values = np.zeros((len(said), len(ISIC2019)))
    values[:, COLUMN] = [1 / (1 + np.exp(-odds)) for _, odds in said]
    values[:, ISIC2019.index("NV")] = 1 - values[:, COLUMN]
    ids = tuple(f"i{k}" for k in range(len(said)))
    top = tuple("MEL" if odds > 0 else "NV" for _, odds in said)
    return Looked(Probabilities(ids, ISIC2019, values), top, tuple(answers), np.array([odds for _, odds in said]) + 2)


def pictures(lesions: str, *said: tuple[str, float], sick: str = "a") -> Pictures:
    cases = tuple(
        Case(f"i{k}", diagnosis="MEL" if lesion in sick else "NV", lesion_id=lesion, source="s")
        for k, lesion in enumerate(lesions)
    )
    return Pictures(CaseSet(cases, ISIC2019), looked(*said), "made up", "by hand")


def values(row: Row | tuple[object, ...]) -> "dict[str, Estimate]":
    found = row.measured if isinstance(row, Row) else row
    return {f"{m.metric} | {m.bundle}": m.estimate for m in found if not m.against}  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def ran(lesions: Path, home: Path, bundle_folder: Path) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMOSCOPE_HOME", str(home))
        patch.setattr(repeatability_rows, "RESAMPLES", 20)
        asked = Asked(str(lesions), bundle=str(bundle_folder), settings={**SHORT, "lesions": "3"})
        return run_study(repeatability.STUDY, asked)


def test_the_short_form_measures_pictures_copies_and_heads(ran: Results) -> None:
    rows = {row.name: row for row in ran.rows}
    assert {"pictures", "pictures, one view", "threshold", "averaged", "quick", "moved"} <= set(rows)
    assert [name for name in rows if name.startswith("copy: ")] == [f"copy: {name}" for name in COPIES]
    for row in ran.rows:
        assert row.type == "method check"
        assert not row.claims
    sizes = {m.metric: m.estimate.n for m in rows["copy: crop 80"].measured}
    assert (sizes["answer changed"], sizes["SD"]) == (3, 3)
    assert sizes["referral taken back"] + sizes["referral added"] <= 3
    assert len(rows["moved"].measured) == len(COPIES)
    assert all(m.p_value is not None and m.p_holm is not None and m.p_value <= m.p_holm for m in rows["moved"].measured)
    names = [plot.name for plot in repeatability.STUDY.plots(ran.rows)]
    assert names == ["changed", "back", "spread", "threshold"]
    series = {plot.name: plot.series for plot in repeatability.STUDY.plots(ran.rows)}["changed"]
    assert len(series) == 2
    assert series[1] == "one view"


def test_only_lesions_with_several_pictures_of_the_right_roles_are_asked(asked: Asked) -> None:
    given = repeatability.plan(asked).held
    sizes = {lesion: given.pictures.groups.count(lesion) for lesion in given.pictures.groups}
    assert min(sizes.values()) > 1
    assert {role_of(lesion) for lesion in sizes} == {"test"}
    assert {role_of(case.group) for case in given.others} == {"training", "validation", "calibration"}
    other = repeatability.plan(replace(asked, settings={**asked.settings, "role": "calibration"}))
    assert {role_of(case.group) for case in other.held.pictures} == {"calibration"}
    assert other.key != repeatability.plan(asked).key


@pytest.mark.parametrize(
    ("setting", "said"), [({"role": "exam"}, "--set role=exam"), ({"lesions": "0"}, "--set lesions=0")]
)
def test_what_cannot_be_asked_is_refused(asked: Asked, setting: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        repeatability.plan(replace(asked, settings={**asked.settings, **setting}))


def test_agreement_by_hand() -> None:
    of = pictures(
        "aabbb", ("refer", 1.0), ("low_concern", -1.0), ("refer", 0.5), ("cannot_assess", 0.5), ("refer", 0.5)
    )
    found = values(agreement(of))
    assert found["answer changed | by hand"].value == 1
    assert found["top diagnosis changed | by hand"].value == 0.5
    assert found["answer, share of pairs | by hand"].value == pytest.approx((1 + 2 / 3) / 2)
    assert found["refer against low concern, share of pairs | by hand"].value == 0.5
    # two degrees of freedom of b say nothing apart, the one of a says 2
    sd = np.sqrt(2 / 3)
    assert found["SD | by hand"].value == pytest.approx(sd)
    assert found["repeatability coefficient | by hand"].value == pytest.approx(1.96 * np.sqrt(2) * sd)
    assert 1.96 * np.sqrt(2) * sd > 2
    assert found["beyond the coefficient, share of pairs | by hand"].value == 0
    assert found["either, share of pairs | by hand"].value == 0.5


def test_near_the_threshold_by_hand() -> None:
    # margins are the log-odds + 2: a 0.3 and -0.3, b 1.2 and -0.4, c far above
    said = [("refer", -1.7), ("low_concern", -2.3), ("refer", -0.8), ("low_concern", -2.4), ("refer", 3), ("refer", 4)]
    found = values(near(pictures("aabbcc", *said)))
    at = "refer against low concern, {} from the threshold | by hand"
    assert found[at.format("0 to 0.5")].value == 1
    assert found[at.format("0 to 0.5")].n == 2
    assert found[at.format("0.5 to 1")].value is None
    assert found[at.format("3 and more")].value == 0
    assert found["of the changed, all pictures within 0.5 | by hand"].value == 0.5
    assert found["of the changed, all pictures within 2 | by hand"].value == 1


def test_several_pictures_against_one_by_hand() -> None:
    said = [("refer", 2.0), ("low_concern", -2.0), ("low_concern", -1.0), ("low_concern", -1.0)]
    row = averaged(pictures("aabb", *said), ["MEL"], np.array([True, False]))
    found = values(row)
    assert found["AUC MEL | mean of the lesion's pictures"].value == 1
    assert 0 < (found["AUC MEL | one picture"].value or 0) < 1
    assert found["referred, malignant and premalignant | most suspicious picture"].value == 1
    assert found["referred, malignant and premalignant | one picture"].value == 0.5
    assert found["referred, malignant and premalignant | mean of the lesion's pictures"].value == 1
    assert found["referred, benign | one picture"].value == 0
    gains = [m for m in row.measured if m.against]
    assert [m.metric for m in gains] == [
        "AUC MEL",
        *["referred, malignant and premalignant"] * 2,
        *["referred, benign"] * 2,
    ]


def test_a_copy_that_changes_nothing_changes_nothing() -> None:
    of = pictures("abc", ("refer", 1.0), ("low_concern", -3.0), ("refer", 0.0))
    found = values(copied({"v": of}, {"v": of}, "same", "as it is"))
    assert [e.value for e in found.values()] == [0, 0, 0, 0, 0]
    other = replace(of, looked=looked(("refer", 1.0), ("refer", -2.0), ("refer", 0.0)))
    found = values(copied({"v": of}, {"v": other}, "other", "otherwise"))
    assert found["answer changed | by hand"].value == pytest.approx(1 / 3)
    assert found["SD | by hand"].value == pytest.approx(np.sqrt(1 / 6))
    assert (found["referral added | by hand"].value, found["referral added | by hand"].n) == (1, 1)
    assert (found["referral taken back | by hand"].value, found["referral taken back | by hand"].n) == (0, 2)


@pytest.fixture(scope="module")
def lesion() -> Pixels:
    return draw(4, "MEL", (200, 150)).pixels


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_another_picture_and_the_same_every_time(name: str, lesion: Pixels) -> None:
    made = COPIES[name].make(lesion)
    assert made.dtype == np.uint8
    assert made.shape[2] == 3
    assert made.shape != lesion.shape or not np.array_equal(made, lesion)
    assert np.array_equal(made, COPIES[name].make(lesion))


def test_copies_do_what_their_names_say(lesion: Pixels) -> None:
    square = lesion[:, 25:175]
    assert np.array_equal(COPIES["turn 90"].make(COPIES["turn 270"].make(lesion)), lesion)
    assert cropped(lesion, 0.8).shape == (120, 160, 3)
    assert np.array_equal(cropped(lesion, 0.8), lesion[15:135, 20:180])
    assert COPIES["zoom 1.1"].make(lesion).shape == square.shape
    middle = slice(60, 90)
    closer = COPIES["zoom 1.1"].make(lesion).astype(float)
    assert np.abs(COPIES["half a pixel"].make(lesion).astype(float) - square).mean() < np.abs(closer - square).mean()
    quarter = COPIES["turn 90"].make(lesion)[25:175]
    turned = COPIES["angle 45"].make(COPIES["angle 45"].make(lesion)).astype(float)[middle, middle]
    ways = [np.abs(turned - np.rot90(quarter, k)[middle, middle]).mean() for k in (0, 2)]
    assert min(ways) < 6 < np.abs(turned - square[middle, middle]).mean() + 6
    losses = [np.abs(compressed(lesion, q).astype(float) - lesion).mean() for q in (90, 70, 50)]
    assert losses == sorted(losses)
    assert losses[0] > 0


def test_log_odds_are_finite_and_rise() -> None:
    found = log_odds(np.array([0.0, 0.1, 0.5, 1.0]))
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
    assert found[2] == 0


def test_a_sheet_shows_drawn_lesions(bundle_folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dermoscope.studies import repeatability_shown

    monkeypatch.setenv("DERMOSCOPE_HOME", str(home))
    monkeypatch.setattr(repeatability_shown, "opposed", lambda *_: True)
    made = repeatability.STUDY.sheet
    assert made is not None
    assert made(Asked("drawn", bundle=str(bundle_folder))).startswith(b"\xff\xd8")
    monkeypatch.setattr(repeatability_shown, "opposed", lambda *_: False)
    with pytest.raises(InputError, match="answered alike"):
        made(Asked("drawn", bundle=str(bundle_folder)))


def test_what_the_service_says_is_what_was_measured() -> None:
    """The constants of `refine/agreement.py` are those of the shipped results, of the bundle that is shipped."""
    found = shipped_results("repeatability")
    sha = load("default").sha256
    assert found is not None
    known = repeatability_of(sha)
    assert known is not None, f"{sha}: measure it with `dermoscope study run repeatability`, and enter it"
    row = next(row for row in found.rows if row.name == "pictures")
    held = {m.metric: m.estimate for m in row.measured if m.bundle.startswith(sha[:12])}
    assert known.opposed == pytest.approx(held["refer against low concern, share of pairs"].value, abs=5e-4)
    assert known.coefficient == pytest.approx(held["repeatability coefficient"].value, abs=5e-5)
    assert known.beyond == pytest.approx(held["beyond the coefficient, share of pairs"].value, abs=5e-4)
    assert known.lesions == held["repeatability coefficient"].n


def test_a_lesion_of_two_sources_counts_with_its_pictures_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lesion b has one picture of another source, c one of each: b counts without it, and c in neither."""
    monkeypatch.setattr(repeatability_rows, "FEWEST", 2)
    of = pictures(
        "aabbbcc",
        ("refer", 1.0),
        ("refer", 1.0),
        ("refer", 1.0),
        ("refer", 1.0),
        ("low_concern", -1.0),
        ("refer", 1.0),
        ("low_concern", -1.0),
    )
    other = tuple(replace(case, source="t") if k in (4, 6) else case for k, case in enumerate(of.cases))
    rows = {row.name: row for row in groups(replace(of, cases=replace(of.cases, cases=other)))}
    found = values(rows["source"])
    assert [name for name in found if name.startswith("answer")] == ["answer, share of pairs, s | by hand"]
    assert found["answer, share of pairs, s | by hand"].value == 0
    assert found["answer, share of pairs, s | by hand"].n == 2
    assert rows["source"].note == "groups of at least 2 lesions; 1 lesions are in smaller ones"


def test_a_sheet_of_lesions_with_one_picture_each_is_refused(tmp_path: Path) -> None:
    (tmp_path / "HAM10000_metadata.csv").write_text("lesion_id,image_id,dx\n" + "HAM_1,ISIC_1,nv\nHAM_2,ISIC_2,nv\n")
    for name in ("ISIC_1", "ISIC_2"):
        (tmp_path / f"{name}.jpg").write_bytes(draw(1, "NV", (96, 72)).jpeg())
    assert repeatability.STUDY.sheet is not None
    with pytest.raises(InputError, match="no lesion of the role calibration has several pictures"):
        repeatability.STUDY.sheet(Asked(str(tmp_path)))
