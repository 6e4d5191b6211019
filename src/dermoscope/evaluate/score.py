"""Scores and truth become estimates: every figure with its interval, method, unit and n.

Names are those of the official scorer, made flat (see `table`), and two more: `validation`, which is the balanced
accuracy under `validation_weight`, and `ece_if_perfect`, the calibration error that the same probabilities would show
if they were true, with the range of 95 % of its simulations.
"""

import numpy as np

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.estimate import Estimate
from dermoscope.core.probabilities import Scores
from dermoscope.core.truth import Truth
from dermoscope.evaluate import calibration, metrics
from dermoscope.evaluate.intervals import basic, percentile, rate
from dermoscope.evaluate.matching import matched
from dermoscope.evaluate.resampling import RESAMPLES, Clusters, bootstrap, clusters_of
from dermoscope.evaluate.table import CALIBRATION, PROBABILITY, Table, sums_to_one

NOT_PROBABILITIES = "rows do not sum to 1"


def evaluate(scores: Scores, truth: Truth, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Estimate]:
    """Every figure of the official scorer, and of calibration, with a 95 % interval.

    Rates of a class have Wilson's interval, everything else that of a bootstrap of `resamples` resamples, stratified
    by diagnosis (but for calibration slopes and intercepts) and clustered by patient, else lesion, else image (which is
    then the unit). The same seed gives the
    same figures, whatever the order of the cases. What cannot be measured says why in its `method`.

    Raises ValueRuleError when the images or diagnoses of scores and truth differ, no case has a weight, or
    `resamples` is below 1.
    """
    if resamples < 1:
        raise ValueRuleError(f"{resamples} resamples make no interval; 2000 are usual")
    scores, truth = matched(scores, truth)
    job = _Job(scores, truth, truth.score_weight)
    table = job.table()
    values = table(job.weights)
    draws = bootstrap(table, job.clusters, job.weights, resamples=resamples, seed=seed)
    found = {
        name: job.estimate(name, float(value), drawn)
        for name, value, drawn in zip(table.names, values, draws, strict=True)
    }
    free = bootstrap(table.recalibrated, job.clusters.unstratified(), job.weights, resamples=resamples, seed=seed)
    for name, drawn in zip(table.calibration_names, free, strict=True):
        found[name] = job.estimate(name, float(values[table.names.index(name)]), drawn)
    found |= job.rates(table)
    found["ece_if_perfect"] = _ece_if_perfect(job, seed)
    found["validation"] = found["balanced_accuracy"]
    if not np.array_equal(truth.score_weight, truth.validation_weight):
        found["validation"] = _validation(scores, truth, resamples, seed)
    return found


def remarks(scores: Scores, truth: Truth) -> list[str]:
    """What a reader of the figures should know: classes without cases, cases without weight, intervals too narrow.

    One sentence each. Raises ValueRuleError as `evaluate` does.
    """
    unknown_column = len(scores.taxonomy) > len(truth.taxonomy)
    none_of_these = int((truth.labels < 0).sum())
    _, truth = matched(scores, truth)
    counts = np.bincount(truth.labels[(truth.score_weight > 0) & (truth.labels >= 0)], minlength=len(truth.taxonomy))
    absent = [code for code, n in zip(truth.taxonomy.codes, counts, strict=True) if n == 0]
    weightless = [i for i, w in zip(truth.ids, truth.score_weight, strict=True) if w == 0]
    said = []
    if absent:
        said.append(
            f"No case of {some(absent, 9)} in the truth: means are over the {np.sum(counts > 0)} classes present."
        )
    if unknown_column and scores.taxonomy.codes[-1] in absent:
        said.append("The column UNK competes for the highest score, as in the official scorer, though no case is UNK.")
    if none_of_these and not unknown_column:
        said.append(
            f"{none_of_these} cases are none of the diagnoses and the scores have no column for that: they count as "
            "negatives and as wrong. The ISIC 2019 challenge would count UNK as one more class, with sensitivity 0."
        )
    if weightless:
        said.append(f"{len(weightless)} images weigh 0 and do not count: {some(weightless)}.")
    if not sums_to_one(scores.values):
        said.append(
            "Rows of the scores do not sum to 1: they are no probabilities, and calibration cannot be measured."
        )
    return [*said, *_remarks_on_independence(truth)]


def _remarks_on_independence(truth: Truth) -> list[str]:
    if truth.patients is not None:
        return []
    if truth.groups is not None:
        return ["No patient ids: lesions of one patient count as independent, so the intervals are optimistic."]
    return ["No lesion or patient ids: every image counts as independent, so the intervals are optimistic."]


class _Job:
    """The cases that have a weight, and how their figures become estimates."""

    def __init__(self, scores: Scores, truth: Truth, weights: metrics.Column) -> None:
        rows = np.flatnonzero(weights > 0)
        if rows.size == 0:
            raise ValueRuleError("no case has a weight above 0; nothing can be scored")
        self.codes = truth.taxonomy.codes
        self.malignant = truth.taxonomy.of_group("malignant")
        self.labels, self.scores, self.weights = truth.labels[rows], scores.values[rows], weights[rows]
        self.clusters: Clusters = clusters_of(truth, rows)
        self.n = self.clusters.count(np.ones(len(rows), bool))

    def table(self) -> Table:
        return Table.of(self.codes, self.labels, self.scores, self.weights, self.malignant)

    def estimate(self, name: str, value: float, draws: np.ndarray) -> Estimate:
        """A bootstrapped figure, or why there is none."""
        if np.isnan(value):
            return Estimate.not_measurable(self._why_not(name), self.clusters.unit, self.n)
        if np.isnan(draws).all():
            return Estimate(value, None, None, "no interval: no resample has this figure", self.clusters.unit, self.n)
        low, high = percentile(draws)
        method = "bootstrap"
        if name == "ece":
            low, high, method = *basic(value, draws), "basic bootstrap"
        elif low == high:
            method = "bootstrap, every resample alike"
        elif name.rpartition(".")[2] in CALIBRATION:
            method = "bootstrap, unstratified"
        return Estimate(value, low, high, method, self.clusters.unit, self.n)

    def rates(self, table: Table) -> dict[str, Estimate]:
        """Rates of each class that is present, with Wilson's interval instead of the bootstrap's."""
        everything = np.ones(len(self.labels), bool)
        decided = metrics.decisions(self.scores)
        found = {}
        for column in np.flatnonzero(table.present).tolist():
            positive, predicted = self.labels == column, self.scores[:, column] > metrics.THRESHOLD
            pairs = {
                "accuracy": (positive == predicted, everything),
                "sensitivity": (predicted, positive),
                "specificity": (~predicted, ~positive),
                "ppv": (positive, predicted),
                "npv": (~positive, ~predicted),
                "recall": (decided == column, positive),
            }
            for name, (hits, among) in pairs.items():
                found[f"{self.codes[column]}.{name}"] = rate(hits, among, self.weights, self.clusters)
        return found

    def _why_not(self, name: str) -> str:
        code, _, metric = name.rpartition(".")
        if (name in PROBABILITY or "calibration" in metric) and not sums_to_one(self.scores):
            return NOT_PROBABILITIES
        if code not in (*self.codes, calibration.MALIGNANT):
            return "no class can be measured"
        columns = np.flatnonzero(self.malignant) if code == calibration.MALIGNANT else [self.codes.index(code)]
        positives = int(np.isin(self.labels, columns).sum())
        if positives == 0:
            return f"no case of {code}"
        return f"every case is {code}" if positives == len(self.labels) else f"the scores separate {code} completely"


def _ece_if_perfect(job: _Job, seed: int) -> Estimate:
    if not sums_to_one(job.scores):
        return Estimate.not_measurable(NOT_PROBABILITIES, job.clusters.unit, job.n)
    rows = np.flatnonzero(job.labels >= 0)
    if rows.size == 0:
        return Estimate.not_measurable("no case has a diagnosis", job.clusters.unit, 0)
    simulated = calibration.ece_if_perfect(job.scores[rows], job.weights[rows], job.clusters.of[rows], seed=seed)
    low, high = percentile(simulated)
    return Estimate(float(simulated.mean()), low, high, "simulated from the probabilities", job.clusters.unit, job.n)


def _validation(scores: Scores, truth: Truth, resamples: int, seed: int) -> Estimate:
    if not (truth.validation_weight > 0).any():
        return Estimate.not_measurable("every validation weight is 0", clusters_of(truth).unit, 0)
    job = _Job(scores, truth, truth.validation_weight)

    def balanced(weights: np.ndarray) -> np.ndarray:
        return metrics.balanced_accuracy(job.labels, job.scores, weights)[None]

    draws = bootstrap(balanced, job.clusters, job.weights, resamples=resamples, seed=seed)[0]
    value = metrics.balanced_accuracy(job.labels, job.scores, job.weights)
    return job.estimate("validation", float(value), draws)
