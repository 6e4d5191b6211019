"""`evaluate`: what it reports of which cases, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate
from dermoscope.core.probabilities import Probabilities, Scores
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, ISIC2019_TO_ISIC2018, Taxonomy
from dermoscope.core.truth import Truth, with_unknown
from dermoscope.evaluate.intervals import percentile
from dermoscope.evaluate.matching import brought_to, matched, projected
from dermoscope.evaluate.resampling import bootstrap, clusters_of
from dermoscope.evaluate.score import evaluate, remarks
from dermoscope.evaluate.table import Table


def drawn(n: int = 90, taxonomy: Taxonomy = ISIC2018, seed: int = 0) -> tuple[Probabilities, Truth]:
    """Probabilities of a middling model, every diagnosis present, and the truth."""
    rng = np.random.default_rng(seed)
    classes = len(taxonomy)
    labels = np.append(np.arange(classes), rng.integers(0, classes, n - classes))
    p = np.exp(rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels])
    ids = tuple(f"ISIC_{k:07d}" for k in range(n))
    return Probabilities(ids, taxonomy, p / p.sum(axis=1, keepdims=True)), Truth(ids, taxonomy, labels)


def scored(scores: Scores, truth: Truth, resamples: int = 50) -> dict[str, float | None]:
    return {name: e.value for name, e in evaluate(scores, truth, resamples=resamples).items()}


def test_names_intervals_units_and_numbers() -> None:
    scores, truth = drawn()
    found = evaluate(scores, truth, resamples=200)
    for name in ("balanced_accuracy", "accuracy", "macro_average.auc", "VASC.ap", "log_loss", "ece_if_perfect"):
        estimate = found[name]
        assert estimate.value is not None
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= estimate.value <= estimate.high
        assert (estimate.unit, estimate.n) == ("image", 90)
    assert found["balanced_accuracy"].method == "bootstrap"
    assert found["ece"].method == "basic bootstrap"
    assert found["MEL.recall"].method == "wilson"
    assert found["MEL.recall"].n == (truth.labels == 0).sum()
    assert found["validation"] == found["balanced_accuracy"]
    recalls = [found[f"{code}.recall"].value for code in ISIC2018.codes]
    assert np.mean(recalls) == pytest.approx(found["balanced_accuracy"].value)


def test_a_perfect_submission() -> None:
    _, truth = drawn()
    found = evaluate(Probabilities(truth.ids, ISIC2018, np.eye(7)[truth.labels]), truth, resamples=50)
    assert found["balanced_accuracy"].value == found["macro_average.auc"].value == found["DF.ap"].value == 1
    assert found["balanced_accuracy"].method == "bootstrap, every resample alike"
    sensitivity = found["DF.sensitivity"]
    assert sensitivity.low is not None
    assert sensitivity.low < 1
    assert found["log_loss"].value == found["brier"].value == found["ece"].value == 0
    assert found["MEL.calibration_slope"].method == "not measurable: the scores separate MEL completely"


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_the_order_of_cases_does_not_matter(seed: int) -> None:
    scores, truth = drawn(60)
    order = np.random.default_rng(seed).permutation(60)
    mixed = scores.aligned_to([scores.ids[k] for k in order])
    turned = truth.take([truth.ids[k] for k in np.random.default_rng(seed + 1).permutation(60)])
    assert evaluate(mixed, turned, resamples=20) == evaluate(scores, truth, resamples=20)


def test_the_seed_moves_the_interval_and_not_the_value() -> None:
    scores, truth = drawn()
    first, second = (evaluate(scores, truth, resamples=50, seed=s)["macro_average.auc"] for s in (0, 1))
    assert first.value == second.value
    assert first.low != second.low


def test_an_absent_diagnosis_is_not_measurable_and_says_so() -> None:
    scores, truth = drawn()
    ids = [i for i, label in zip(truth.ids, truth.labels, strict=True) if label != ISIC2018.index("DF")]
    part, few = scores.aligned_to(ids), truth.take(ids)
    found = evaluate(part, few, resamples=20)
    assert {e.method for name, e in found.items() if name.startswith("DF.")} == {"not measurable: no case of DF"}
    recalls = [found[f"{code}.recall"].value for code in ISIC2018.codes if code != "DF"]
    assert np.mean(recalls) == pytest.approx(found["balanced_accuracy"].value)
    assert "No case of DF in the truth: means are over the 6 classes present." in remarks(part, few)


def test_one_diagnosis_alone_has_rates_and_no_auc() -> None:
    scores, truth = drawn()
    ids = [i for i, label in zip(truth.ids, truth.labels, strict=True) if label == 0]
    found = evaluate(scores.aligned_to(ids), truth.take(ids), resamples=20)
    assert found["MEL.auc"].method == "not measurable: every case is MEL"
    assert found["MEL.specificity"].method == "convention"
    assert found["macro_average.auc"].method == "not measurable: no class can be measured"
    assert found["accuracy"].value == found["MEL.recall"].value


def test_scores_that_do_not_sum_to_one_have_no_calibration() -> None:
    scores, truth = drawn()
    halved = Scores(scores.ids, ISIC2018, scores.values / 2)
    found, whole = evaluate(halved, truth, resamples=20), evaluate(scores, truth, resamples=20)
    for name in ("log_loss", "brier", "ece", "ece_if_perfect", "MEL.calibration_slope", "macro_average.auc"):
        assert (found[name].value is None) == (name != "macro_average.auc")
    assert found["ece"].method == "not measurable: rows do not sum to 1"
    assert found["macro_average.auc"] == whole["macro_average.auc"]
    assert any("do not sum to 1" in remark for remark in remarks(halved, truth))


def test_images_that_weigh_nothing_count_for_nothing() -> None:
    scores, truth = drawn()
    weights = np.where(np.arange(90) % 5 == 4, 0.0, 1.0)
    weights[:7] = 1.0
    weighed = Truth(truth.ids, ISIC2018, truth.labels, weights)
    kept = [i for i, w in zip(truth.ids, weights, strict=True) if w]
    found, expected = evaluate(scores, weighed, resamples=20), scored(scores.aligned_to(kept), truth.take(kept), 20)
    assert {n: e.value for n, e in found.items() if n != "validation"} == pytest.approx(
        {n: v for n, v in expected.items() if n != "validation"}, nan_ok=True
    )
    assert found["balanced_accuracy"].n == len(kept)
    assert found["validation"].value == scored(scores, truth)["balanced_accuracy"]
    assert any(r.startswith(f"{90 - len(kept)} images weigh 0") for r in remarks(scores, weighed))


def test_no_weight_at_all_is_refused_and_no_validation_weight_is_told() -> None:
    scores, truth = drawn()
    with pytest.raises(ValueRuleError, match="no case has a weight above 0"):
        evaluate(scores, Truth(truth.ids, ISIC2018, truth.labels, np.zeros(90)))
    found = evaluate(scores, Truth(truth.ids, ISIC2018, truth.labels, np.ones(90), np.zeros(90)), resamples=5)
    assert found["validation"].method == "not measurable: every validation weight is 0"
    with pytest.raises(ValueRuleError, match="0 resamples make no interval"):
        evaluate(scores, truth, resamples=0)


def test_images_of_a_lesion_widen_the_interval_and_lesions_are_counted() -> None:
    once, truth = drawn(80)
    ids = tuple(f"{i}_{copy}" for i in truth.ids for copy in "abcd")
    scores = Probabilities(ids, ISIC2018, np.repeat(once.values, 4, axis=0))
    labels = np.repeat(truth.labels, 4)
    lesions = tuple(i for i in truth.ids for _ in range(4))
    apart = evaluate(scores, Truth(ids, ISIC2018, labels), resamples=300)
    together = evaluate(scores, Truth(ids, ISIC2018, labels, groups=lesions), resamples=300)
    single = evaluate(once, truth, resamples=300)

    def width(found: dict, name: str) -> float:
        return found[name].high - found[name].low

    for name in ("balanced_accuracy", "macro_average.auc", "MEL.recall", "NV.specificity"):
        assert width(together, name) > 1.5 * width(apart, name)
        assert width(together, name) == pytest.approx(width(single, name), rel=0.25)
    assert (together["accuracy"].unit, together["accuracy"].n) == ("lesion", 80)
    assert (apart["accuracy"].unit, apart["accuracy"].n) == ("image", 320)


def test_patients_are_the_unit_where_they_are_known() -> None:
    scores, truth = drawn()
    patients = tuple(f"P{k // 3}" for k in range(90))
    known = Truth(truth.ids, ISIC2018, truth.labels, groups=truth.ids, patients=patients)
    assert evaluate(scores, known, resamples=5)["accuracy"].unit == "patient"
    assert remarks(scores, known) == []
    assert remarks(scores, Truth(truth.ids, ISIC2018, truth.labels, groups=truth.ids))[0].startswith("No patient ids")
    assert remarks(scores, truth)[0].startswith("No lesion or patient ids")


def test_ids_that_do_not_match_are_listed() -> None:
    scores, truth = drawn()
    ids = ("ISIC_new", *scores.ids[2:])
    renamed = Scores(ids, ISIC2018, scores.values[1:])
    message = (
        r"2 images of the truth have no score \(ISIC_0000000, ISIC_0000001\); 1 scores have no truth \(ISIC_new\): both"
    )
    with pytest.raises(ValueRuleError, match=message):
        evaluate(renamed, truth)


def test_a_downsampled_id_is_the_same_image() -> None:
    scores, truth = drawn()
    suffixed = Truth((truth.ids[0] + "_downsampled", *truth.ids[1:]), ISIC2018, truth.labels)
    assert scored(scores, suffixed) == scored(scores, truth)
    other = Scores((scores.ids[0] + "_downsampled", *scores.ids[1:]), ISIC2018, scores.values)
    assert matched(other, truth)[0].ids == truth.ids
    twin = Scores(
        (*scores.ids, scores.ids[0] + "_downsampled"), ISIC2018, np.vstack([scores.values, scores.values[:1]])
    )
    with pytest.raises(ValueRuleError, match="two scores of one image"):
        evaluate(twin, truth)


def test_other_diagnoses_are_refused() -> None:
    scores, truth = drawn()
    with pytest.raises(ValueRuleError, match=r"scores have the diagnoses MEL,NV,BCC,AKIEC.*the truth MEL,NV,BCC,AK,"):
        evaluate(scores, Truth(truth.ids, ISIC2019, truth.labels))


def unknowns() -> tuple[Probabilities, Probabilities, Truth]:
    """The same model with and without a column for UNK, and a truth of which a tenth is UNK."""
    scores, truth = drawn(100, with_unknown(ISIC2019))
    labels = np.where(truth.labels == 8, -1, truth.labels)
    eight = scores.values[:, :8] / scores.values[:, :8].sum(axis=1, keepdims=True)
    return scores, Probabilities(scores.ids, ISIC2019, eight), Truth(scores.ids, ISIC2019, labels)


def test_a_column_for_unknown_makes_it_a_class() -> None:
    nine, _, truth = unknowns()
    found = evaluate(nine, truth, resamples=20)
    assert found["UNK.auc"].value is not None
    assert found["balanced_accuracy"].value == pytest.approx(
        np.mean([found[f"{c}.recall"].value for c in nine.taxonomy.codes])
    )
    known = [i for i, label in zip(truth.ids, truth.labels, strict=True) if label >= 0]
    part = nine.aligned_to(known), truth.take(known)
    assert evaluate(*part, resamples=5)["UNK.auc"].method == "not measurable: no case of UNK"
    assert any(remark.startswith("The column UNK competes") for remark in remarks(*part))


def test_without_a_column_for_unknown_its_cases_are_negatives_and_wrong() -> None:
    _, eight, truth = unknowns()
    found = evaluate(eight, truth, resamples=20)
    assert "UNK.auc" not in found
    right = (eight.predicted == truth.labels).sum()
    assert found["accuracy"].value == pytest.approx(right / 100)
    assert found["MEL.specificity"].n == (truth.labels != 0).sum()
    number = (truth.labels < 0).sum()
    assert any(r.startswith(f"{number} cases are none of the diagnoses") for r in remarks(eight, truth))


def test_eight_diagnoses_are_projected_onto_seven_with_a_warning() -> None:
    nine, eight, truth = unknowns()
    seven = truth.merged(ISIC2019_TO_ISIC2018)
    scores, same, said = brought_to(eight, seven, ISIC2018)
    assert isinstance(scores, Probabilities)
    assert same is seven
    np.testing.assert_allclose(scores.column("AKIEC"), eight.column("AK") + eight.column("SCC"))
    assert len(said) == 1
    assert "invasive SCC" in said[0]
    assert brought_to(nine, seven, ISIC2018)[0].taxonomy.codes == (*ISIC2018.codes, "UNK")
    scores, labels, said = brought_to(eight, truth, ISIC2018)
    assert [scores.taxonomy, labels.taxonomy, len(said)] == [ISIC2018, ISIC2018, 2]
    assert brought_to(eight, truth, ISIC2019)[2] == []


def test_seven_diagnoses_cannot_become_eight() -> None:
    scores, truth = drawn()
    with pytest.raises(ValueRuleError, match=r"cannot be told apart into those of isic2019; .*--taxonomy isic2018"):
        brought_to(scores, truth, ISIC2019)
    with pytest.raises(ValueRuleError, match="a merge map from isic2019 does not fit isic2018"):
        projected(scores, ISIC2019_TO_ISIC2018)


def true_probabilities(n: int, seed: int) -> tuple[Probabilities, Truth]:
    """Labels drawn from the probabilities themselves: a perfect calibration."""
    rng = np.random.default_rng(seed)
    p = np.exp(rng.normal(0, 1.5, (n, 8)) + np.array([0, 3, 0, -1, 1, -1, -1, -1]))
    p /= p.sum(axis=1, keepdims=True)
    labels = (rng.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, 7)
    ids = tuple(f"ISIC_{k:07d}" for k in range(n))
    return Probabilities(ids, ISIC2019, p), Truth(ids, ISIC2019, labels)


def test_any_malignant_equals_a_logistic_regression_of_scikit_learn() -> None:
    scores, truth = true_probabilities(600, 0)
    sharp = Probabilities(scores.ids, ISIC2019, scores.values**1.5 / (scores.values**1.5).sum(axis=1, keepdims=True))
    found = evaluate(sharp, truth, resamples=50)
    malignant = np.isin(truth.labels, [ISIC2019.index(code) for code in ("MEL", "BCC", "SCC")])
    p = sharp.of_codes(("MEL", "BCC", "SCC"))
    logit = np.log(p / (1 - p))[:, None]
    free = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit, malignant)
    slope, intercept = (found[f"malignant.calibration_{what}"] for what in ("slope", "intercept"))
    assert slope.value == pytest.approx(free.coef_[0, 0], rel=1e-4)
    assert slope.value < 0.85  # too sure
    # with the slope held at 1 the intercept is where the mean of the probabilities is the share
    assert intercept.value is not None
    assert (1 / (1 + np.exp(-(logit[:, 0] + intercept.value)))).mean() == pytest.approx(malignant.mean(), abs=1e-9)
    assert slope.method == intercept.method == found["MEL.calibration_slope"].method == "bootstrap, unstratified"


def test_intervals_of_slope_and_intercept_hold_the_truth() -> None:
    names = {f"{what}.calibration_{name}": at for what in ("MEL", "malignant") for name, at in PERFECT.items()}
    held = dict.fromkeys(names, 0)
    for seed in range(100):
        scores, truth = true_probabilities(500, seed)
        ones, malignant = np.ones(500), ISIC2019.of_group("malignant")
        table = Table.of(ISIC2019.codes, truth.labels, scores.values, ones, malignant)
        clusters = clusters_of(truth).unstratified()
        draws = bootstrap(table.recalibrated, clusters, ones, resamples=100, seed=seed)
        for name, at in names.items():
            low, high = percentile(draws[table.calibration_names.index(name)])
            held[name] += low <= at <= high
    # 95 are expected; a bootstrap that holds the number of melanomas fixed gives some 65 for the intercepts
    assert min(held.values()) >= 87, held


PERFECT = {"slope": 1.0, "intercept": 0.0}


def test_any_malignant_is_clustered_by_lesion() -> None:
    scores, truth = true_probabilities(200, 1)
    ids = tuple(f"{i}_{k}" for i in scores.ids for k in range(4))
    fourfold = Probabilities(ids, ISIC2019, np.repeat(scores.values, 4, axis=0))
    lesions = tuple(i for i in scores.ids for _ in range(4))
    together = evaluate(fourfold, Truth(ids, ISIC2019, np.repeat(truth.labels, 4), groups=lesions), resamples=200)
    apart = evaluate(fourfold, Truth(ids, ISIC2019, np.repeat(truth.labels, 4)), resamples=200)

    def width(found: dict[str, Estimate]) -> float:
        e = found["malignant.calibration_intercept"]
        return (e.high or 0.0) - (e.low or 0.0)

    assert together["malignant.calibration_slope"].unit == "lesion"
    assert width(together) == pytest.approx(2 * width(apart), rel=0.3)


def test_any_malignant_that_cannot_be_measured_says_why() -> None:
    scores, truth = drawn(60)
    benign = Truth(truth.ids, ISIC2018, np.full(60, ISIC2018.index("NV")))
    found = evaluate(scores, benign, resamples=5)
    assert found["malignant.calibration_slope"].method == "not measurable: no case of malignant"
    malignant = Truth(truth.ids, ISIC2018, np.arange(60) % 2 * ISIC2018.index("BCC"))
    found = evaluate(scores, malignant, resamples=5)
    assert found["malignant.calibration_intercept"].method == "not measurable: every case is malignant"
    halves = Scores(scores.ids, ISIC2018, scores.values / 2)
    found = evaluate(halves, truth, resamples=5)
    assert found["malignant.calibration_slope"].method == "not measurable: rows do not sum to 1"
