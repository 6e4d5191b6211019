"""What is looked at after every epoch."""

import numpy as np

from dermoscope.core.taxonomy import ISIC2019, ISIC2019_TO_ISIC2018, Taxonomy
from dermoscope.train.loop import Score


def score_under_uniform(prior: np.ndarray, taxonomy: Taxonomy) -> Score:
    """A scoring function for logits learnt under the draws' `prior`: figures under a uniform prior.

    Gives `balanced_log_loss` (mean over diagnoses of their mean log-loss), `macro_auc` (one against the rest),
    `balanced_accuracy` over the diagnoses present (and over the seven of ISIC 2018 for an ISIC 2019 model),
    `accuracy`, and `mel_auc` where the taxonomy knows melanoma.
    """
    logs = np.log(np.maximum(prior, 1e-4))

    def score(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        z = logits - logs
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        kinds = np.unique(labels)
        losses = -np.log(np.maximum(p[np.arange(len(labels)), labels], 1e-12))
        found = {
            "balanced_log_loss": float(np.mean([losses[labels == c].mean() for c in kinds])),
            "macro_auc": float(np.mean([_auc(p[:, c], labels == c) for c in kinds])),
            "balanced_accuracy": _balanced(p, labels),
            "accuracy": float((p.argmax(1) == labels).mean()),
        }
        if taxonomy == ISIC2019:
            merge = ISIC2019_TO_ISIC2018.matrix
            found["balanced_accuracy_7"] = _balanced(p @ merge, merge.argmax(1)[labels])
        if "MEL" in taxonomy:
            mel = taxonomy.index("MEL")
            found["mel_auc"] = _auc(p[:, mel], labels == mel)
        return found

    return score


def _balanced(p: np.ndarray, labels: np.ndarray) -> float:
    hit = p.argmax(axis=1) == labels
    return float(np.mean([hit[labels == c].mean() for c in np.unique(labels)]))


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")
