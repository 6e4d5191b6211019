"""How each figure of a report was made, in words, with its sources."""

from dermoscope.evaluate.curves import FEWEST
from dermoscope.evaluate.subgroups import FEWEST as FEWEST_IN_GROUP
from dermoscope.evaluate.subgroups import FEWEST_OF_A_KIND
from dermoscope.report.dossier import Measured

_UNITS = {
    "patient": "Images of one patient are drawn together.",
    "lesion": "Images of one lesion are drawn together; patients are not known, so intervals are a little too narrow.",
    "image": "Neither lesions nor patients are known: every image counts as independent, so intervals are too narrow.",
}


def methods(measured: Measured) -> list[tuple[str, str]]:
    """(what, how) for every kind of figure."""
    return [*_of_figures(measured), *_of_groups(measured)]


def _of_figures(measured: Measured) -> list[tuple[str, str]]:
    return [
        (
            "Metrics",
            "Names, thresholds and conventions of the official ISIC scorer (isic-challenge-scoring 5.6): a tied "
            "maximum is wrong, a rate of no cases is 1. Balanced accuracy is the mean share of each diagnosis found, "
            "over the diagnoses that occur. AUC after Hanley & McNeil 1982, ties counting half; average precision as "
            "steps, not interpolated (Manning, Raghavan & Schütze 2008, ch. 8).",
        ),
        (
            "Intervals",
            f"95 %, percentiles of a bootstrap (Efron & Tibshirani 1993, ch. 13) of {measured.resamples:,} resamples, "
            f"seed {measured.seed}, drawn by {measured.unit} within each diagnosis (Davison & Hinkley 1997, ch. 3). "
            f"{_UNITS[measured.unit]} Rates of one diagnosis have Wilson's interval (Wilson 1927) with the cases that "
            "their clusters are worth (Korn & Graubard 1998). The column “interval by” and the JSON name the method "
            "of each.",
        ),
        (
            "ROC and precision-recall",
            "The curve has a corner at every case. Bands: percentiles of the resampled curves at each of 101 places of "
            "the horizontal axis (vertical averaging, Fawcett 2006; Macskassy & Provost 2005). They hold 95 % at one "
            f"place, not for the whole curve; none where fewer than {FEWEST} {measured.unit}s are on one side.",
        ),
        (
            "Calibration",
            "Expected calibration error of the highest probability in 15 equal-width bins (Guo et al. 2017, eq. 3), "
            "with the basic bootstrap interval; beside it what true probabilities would show on these cases, by "
            "consistency sampling (Bröcker & Smith 2007). Slope and intercept by logistic recalibration (Cox 1958; "
            "Van Calster et al. 2019), of each diagnosis and of any malignant one; their intervals draw the mix of "
            "diagnoses too. Brier score summed over diagnoses (Brier 1950).",
        ),
    ]


def _of_groups(measured: Measured) -> list[tuple[str, str]]:
    return [
        (
            "Melanoma AUC",
            "Against all other cases; against nevi that were confirmed by histology; and over pairs of one source only "
            "(after Janes & Pepe 2008).",
        ),
        (
            "Groups",
            f"Every group is scored on its own cases, as the whole is. A group of fewer than {FEWEST_IN_GROUP} "
            f"{measured.unit}s has no figures, one with fewer than {FEWEST_OF_A_KIND} melanomas or others no melanoma "
            "AUC. No figure is corrected for the number of groups.",
        ),
        (
            "Mistakes and doubts",
            "Wrong answers are ordered by the score of the wrong diagnosis; doubts by the margin between the two "
            "highest scores.",
        ),
    ]
