"""Scores and truth brought together: the same images in the same order, in the same diagnoses."""

from collections.abc import Sequence

import numpy as np

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.probabilities import Probabilities, Scores
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, ISIC2019_TO_ISIC2018, MergeMap, Taxonomy
from dermoscope.core.truth import Truth, plain_id, with_unknown


def matched(scores: Scores, truth: Truth) -> tuple[Scores, Truth]:
    """Both in the order of the image ids, as the official scorer sorts them, and in one taxonomy.

    An id may carry `_downsampled` in one and not in the other. Where the scores have a column for "none of these", it
    becomes a diagnosis of the truth too, as in the ISIC 2019 challenge.

    Raises ValueRuleError where the images or the diagnoses of the two differ; the message lists the ids.
    """
    if scores.taxonomy == with_unknown(truth.taxonomy):
        truth = truth.with_unknown_class()
    if scores.taxonomy != truth.taxonomy:
        raise ValueRuleError(
            f"scores have the diagnoses {','.join(scores.taxonomy.codes)}, the truth {','.join(truth.taxonomy.codes)}; "
            "project one onto the other first (`--taxonomy`, or `projected` and `Truth.merged` in Python)"
        )
    if set(scores.ids) != set(truth.ids):
        scores = _renamed(scores, truth.ids)
    order = sorted(truth.ids)
    return scores.aligned_to(order), truth.take(order)


def brought_to(scores: Scores, truth: Truth, target: Taxonomy) -> tuple[Scores, Truth, list[str]]:
    """Scores and truth of the ISIC challenges in one taxonomy, and a sentence about every projection that was needed.

    Raises ValueRuleError where that is impossible: seven diagnoses cannot be told apart into eight.
    """
    said = []
    for name, has in (("predictions", scores.taxonomy), ("truth", truth.taxonomy)):
        if has in (target, with_unknown(target)):
            continue
        if target != ISIC2018 or has not in (ISIC2019, with_unknown(ISIC2019)):
            raise ValueRuleError(
                f"the {name} have the diagnoses {','.join(has.codes)}, which cannot be told apart into those of "
                f"{target.name}; score both in seven diagnoses with --taxonomy {ISIC2018.name}"
            )
        said.append(
            f"AK and SCC of the {name} are counted as AKIEC, as ISIC 2018 has them. That is true of the in-situ "
            "carcinomas of HAM10000; an invasive SCC from elsewhere has no place among these seven."
        )
        if name == "truth":
            truth = truth.merged(ISIC2019_TO_ISIC2018)
        else:
            scores = projected(scores, ISIC2019_TO_ISIC2018)
    return scores, truth, said


def projected(scores: Scores, merge: MergeMap) -> Scores:
    """Scores on a coarser taxonomy: merged diagnoses add up, to at most 1; a column for "none of these" stays.

    Raises ValueRuleError when the map does not start from the taxonomy of the scores.
    """
    wide = scores.taxonomy == with_unknown(merge.source)
    if not wide and scores.taxonomy != merge.source:
        raise ValueRuleError(f"a merge map from {merge.source.name} does not fit {scores.taxonomy.name}")
    count = len(merge.source)
    values = np.concatenate([scores.values[:, :count] @ merge.matrix, scores.values[:, count:]], axis=1)
    kind = Probabilities if isinstance(scores, Probabilities) else Scores
    taxonomy = with_unknown(merge.target) if wide else merge.target
    return kind(scores.ids, taxonomy, np.clip(values, 0.0, 1.0))


def _renamed(scores: Scores, wanted: Sequence[str]) -> Scores:
    known = set(wanted)
    by_plain = {plain_id(i): i for i in wanted}
    renamed = [i if i in known else by_plain.get(plain_id(i), i) for i in scores.ids]
    missing, extra = sorted(known - set(renamed)), sorted(set(renamed) - known)
    if missing or extra or len(set(renamed)) < len(renamed):
        parts = [
            f"{len(ids)} {what} ({some(ids)})"
            for ids, what in ((missing, "images of the truth have no score"), (extra, "scores have no truth"))
            if ids
        ]
        raise ValueRuleError(f"{'; '.join(parts) or 'two scores of one image'}: both files need the same images")
    return type(scores)(tuple(renamed), scores.taxonomy, scores.values)
