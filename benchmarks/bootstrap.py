"""The vectorised bootstrap of `evaluate` against the loop over scikit-learn that it replaces.

    python benchmarks/bootstrap.py [--cases 10000] [--resamples 2000] [--naive 3] [--limit 5]

Both compute the same table (ISIC metrics per class and as means, log-loss, Brier, calibration error, slope and
intercept) of the same resamples. The loop is timed on a few of them and scaled up. Both are timed on one thread and in
processor seconds, so that what else runs on the machine does not count. The last line is the verdict: exit code 1 where
the vectorised one takes longer than the limit, in seconds, or where the two disagree.
"""

import argparse
import os
import time

# Before numpy is imported: a loop over small products on a threaded BLAS measures mostly its waiting.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import sklearn.metrics as sk
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from dermoscope.core.taxonomy import ISIC2019
from dermoscope.evaluate.resampling import bootstrap, cluster, weights_of
from dermoscope.evaluate.table import Table

SHARES = (0.18, 0.50, 0.13, 0.03, 0.11, 0.01, 0.01, 0.03)


def drawn(cases: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels as common as in ISIC 2019 and the probabilities of a fair model."""
    rng = np.random.default_rng(0)
    labels = rng.choice(8, cases, p=SHARES).astype(np.int64)
    logits = rng.normal(size=(cases, 8)) + 2 * np.eye(8)[labels] + np.log(SHARES)
    p = np.exp(logits)
    return labels, p / p.sum(axis=1, keepdims=True)


def naive(labels: np.ndarray, p: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """The same table for one resample, as one would write it with scikit-learn."""
    found: dict[str, float] = {}
    decided = p.argmax(axis=1)
    found["balanced_accuracy"] = sk.balanced_accuracy_score(labels, decided, sample_weight=weights)
    found["accuracy"] = sk.accuracy_score(labels, decided, sample_weight=weights)
    found["log_loss"] = sk.log_loss(labels, p, labels=range(8), sample_weight=weights)
    found["brier"] = float(np.average(((p - np.eye(8)[labels]) ** 2).sum(axis=1), weights=weights))
    found["ece"] = _ece(labels, p, weights)
    for k, code in enumerate(ISIC2019.codes):
        for name, value in _one_class(labels == k, p[:, k], weights).items():
            found[f"{code}.{name}"] = value
    return found


def _one_class(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    predicted = scores > 0.5
    (tn, fp), (fn, tp) = sk.confusion_matrix(positive, predicted, sample_weight=weights, labels=[False, True])
    fpr, tpr, _ = sk.roc_curve(positive, scores, sample_weight=weights, drop_intermediate=False)
    above = np.searchsorted(tpr, 0.8)
    start = np.interp(0.8, tpr[above - 1 : above + 1], fpr[above - 1 : above + 1])
    logit = np.log(scores / (1 - scores))
    fit = LogisticRegression(C=np.inf).fit(logit[:, None], positive, sample_weight=weights)
    loss = lambda a: weights @ np.logaddexp(0, np.where(positive, -1, 1) * (logit + a))  # noqa: E731
    return {
        "accuracy": (tp + tn) / (tp + tn + fp + fn),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "ppv": tp / (tp + fp) if tp + fp else 1.0,
        "npv": tn / (tn + fn) if tn + fn else 1.0,
        "dice": 2 * tp / (2 * tp + fp + fn),
        "auc": sk.roc_auc_score(positive, scores, sample_weight=weights),
        "auc_sens_80": sk.auc(np.append(start, fpr[above:]), np.append(0.8, tpr[above:])),
        "ap": sk.average_precision_score(positive, scores, sample_weight=weights),
        "calibration_slope": fit.coef_[0, 0],
        "calibration_intercept": minimize_scalar(loss).x,
    }


def _ece(labels: np.ndarray, p: np.ndarray, weights: np.ndarray) -> float:
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    total = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        total += abs((weights * (right - confidence))[inside].sum())
    return total / weights.sum()


def main() -> int:
    """Measure, compare, print; 0 where the limit holds and the two agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, value in (("cases", 10_000), ("resamples", 2000), ("naive", 3), ("limit", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    labels, p = drawn(asked.cases)
    ones, clusters = np.ones(asked.cases), cluster([str(k) for k in range(asked.cases)], labels, "image")

    start, began = time.process_time(), time.perf_counter()
    table = Table.of(ISIC2019.codes, labels, p, ones)
    draws = bootstrap(table, clusters, ones, resamples=asked.resamples)
    fast, waited = time.process_time() - start, time.perf_counter() - began

    weights = next(weights_of(clusters, asked.resamples, 0))[:, : asked.naive]
    start = time.process_time()
    loop = [naive(labels, p, weights[:, k]) for k in range(weights.shape[1])]
    slow = (time.process_time() - start) / len(loop) * asked.resamples

    worst = 0.0
    for k, found in enumerate(loop):
        own = dict(zip(table.names, draws[:, k], strict=True))
        worst = max(worst, *(abs(own[n] - v) for n, v in found.items() if "slope" not in n and "intercept" not in n))
    good = fast <= asked.limit and worst < 1e-9
    print(f"{len(table.names)} figures x {asked.resamples:,} resamples x {asked.cases:,} cases")
    print(f"vectorised {fast:.2f} s (on the clock {waited:.2f} s)")
    print(f"loop over scikit-learn {slow:,.0f} s (from {len(loop)} resamples)")
    print(f"largest difference {worst:.1e} (slope and intercept left out: one Newton step against a full fit)")
    print(f"{'PASS' if good else 'FAIL'}: {fast:.2f} s of {asked.limit} s, {slow / fast:,.0f} times faster")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
