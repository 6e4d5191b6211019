"""A study as lines for the terminal: every figure in one line of at most 80 characters."""

from dermoscope.core.claim import Claim
from dermoscope.core.estimate import Estimate
from dermoscope.core.study import Measured, Row
from dermoscope.report.study_text import block_of, notes_of, page_lines

SCORE = "balanced accuracy, 8 diagnoses"


def claim(metric: str, value: float, model: str = "ensemble") -> Claim:
    return Claim("diagnosis", "a test", metric, value, model, "paper2021", "table 1")


def found(metric: str, value: float, split: str = "folds", bundle: str = "lite0", n: int = 90) -> Measured:
    return Measured(metric, Estimate(value, value - 0.01, value + 0.01, "bootstrap", "lesion", n), split, bundle)


def gain(metric: str, against: str, p_holm: float | None, split: str = "folds") -> Measured:
    e = Estimate(-0.03, -0.036, -0.024, "paired bootstrap", "lesion", 90)
    return Measured(metric, e, split, "lite0", against, 0.002, p_holm)


def page(*rows: Row, data: str = "") -> list[str]:
    return [" " * indent + words for words, _, indent in page_lines([block_of(row, data) for row in rows])]


def test_a_gain_stands_behind_its_figure_and_what_it_is_over_in_the_heading() -> None:
    row = Row("s", "stand-in", "views", "+ 2 views", (), (found(SCORE, 0.369), gain(SCORE, "1 view", 0.03)))
    lines = page(row)
    assert lines[1] == "+ 2 views"
    assert lines[2] == "  stand-in; lite0; folds; gain over 1 view; 90 lesions"
    assert lines[4] == "  balanced accuracy (8)  0.369 [0.359, 0.379]  −0.030 [−0.036, −0.024], p 0.030"
    assert max(map(len, lines)) <= 80


def test_p_says_where_it_was_not_corrected() -> None:
    row = Row("s", "stand-in", "views", "views", (), (found("AUC MEL", 0.9), gain("AUC MEL", "none", None)))
    assert page(row)[-1].endswith("p 0.002 (raw)")
    assert not any("Holm" in note for note in notes_of([row]))


def test_predictors_and_splits_that_differ_are_headings() -> None:
    named = "HAM10000: many images"
    row = Row("s", "method check", "k", "two", (), (
        found("MEL.auc", 0.8, f"{named}, validation"), found("MEL.auc", 0.7, "isic2017", n=30),
        gain("MEL.auc", "none", 0.5, f"{named}, validation"),
    ))  # fmt: skip
    lines = page(row, data=named)
    assert lines[2:] == [
        "  method check; lite0",
        "            n  measured [95 %]       gain [95 %], p",
        "  HAM10000, validation; gain over none:",
        "  AUC MEL  90  0.800 [0.790, 0.810]  −0.030 [−0.036, −0.024], p 0.500",
        "  isic2017:",
        "  AUC MEL  30  0.700 [0.690, 0.710]",
    ]


def test_a_second_comparison_of_one_predictor_has_its_own_heading() -> None:
    row = Row("s", "stand-in", "k", "three", (), (found("AUC MEL", 0.8), gain("AUC MEL", "a", 1.0),
                                                  gain("AUC MEL", "b", 1.0)))  # fmt: skip
    lines = page(row)
    assert lines[4] == "  gain over a:"
    assert lines[6] == "  gain over b:"
    assert lines[7] == "  AUC MEL                        −0.030 [−0.036, −0.024], p 1.000"


def test_claims_of_several_models_are_a_list_above_the_figures() -> None:
    claims = (claim("balanced accuracy", 0.582, "SE-ResNeXt"), claim("balanced accuracy", 0.504, "NASNet"))
    lines = page(Row("s", "stand-in", "single", "One", claims, (found(SCORE, 0.353),), "seen"))
    assert lines[3:7] == ["  Seen.", "  the paper, balanced accuracy:", "    0.582  SE-ResNeXt", "    0.504  NASNet"]


def test_claims_stand_beside_figures_of_their_metric_with_those_that_nothing_was_measured_of() -> None:
    claims = (claim("AUC MEL", 0.924), claim("AUC UNK", 0.638))
    row = Row("s", "reproduced", "auc", "AUC", claims, (found("AUC MEL", 0.9),))
    lines = page(row)
    assert [" ".join(line.split()) for line in lines[3:]] == [
        "claimed measured [95 %]",
        "AUC MEL 0.924 0.900 [0.890, 0.910]",
        "difference +0.024",
        "AUC UNK 0.638",
    ]
    assert not any("difference" in line for line in page(Row("s", "stand-in", "auc", "AUC", claims, row.measured)))


def test_counts_have_no_number_of_cases_and_no_interval() -> None:
    count = Measured("images of NV", Estimate(4043.0, None, None, "counted", "image", 4043), "training", "counted")
    lines = page(Row("s", "re-measured", "counts", "Images", (claim("images of NV", 13704.0),), (count,)))
    assert lines[2] == "  re-measured; counted; training"
    assert lines[4] == "  images of NV   13,704  4,043"


def test_what_was_not_measurable_says_so() -> None:
    none = Measured("AUC MEL", Estimate.not_measurable("no melanoma", "lesion", 0), "folds", "lite0")
    assert page(Row("s", "stand-in", "k", "none", (), (none,)))[-1] == "  AUC MEL  not measurable"
