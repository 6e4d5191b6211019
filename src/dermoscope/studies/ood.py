"""Whether a picture of something unknown can be told: energy and Mahalanobis, each diagnosis left out once.

The paper of Steppan & Hanke 2021 learnt UNK as a ninth class from clinical photographs and reached an AUC of .638: it
recognised the kind of camera. Here nothing unknown is trained on. A head is trained on frozen features without one
diagnosis, and the scores are asked to tell its cases (roles training and validation, none of which the head has seen)
from the known ones of the validation role. Three further questions keep the answer honest: which other kinds of picture
are told; whether the scores merely tell cameras apart, among known diagnoses; and whether a ninth class that was
trained with one diagnosis as UNK knows another one that it was not trained with.

Scores: `energy` (Liu et al. 2020), `mahalanobis` (Lee et al. 2018) and, as the yardstick, `confidence`, one minus the
highest probability (Hendrycks & Gimpel 2017). AUC with bootstrap intervals clustered by lesion; `caught` is the share
beyond the limit that 95 % of the known validation cases stay below.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Float

from dermoscope.core.cases import Case
from dermoscope.core.claim import Claim
from dermoscope.core.estimate import Estimate
from dermoscope.core.study import Measured, Row
from dermoscope.evaluate.intervals import rate
from dermoscope.evaluate.resampling import cluster
from dermoscope.evaluate.subgroups import stratified_auc
from dermoscope.refine.ood import energy, fit_limit, fit_ood
from dermoscope.studies.base import Asked, Context, Paper, Plan, Study, check_used
from dermoscope.studies.material import Material, embedded, fitted, material, quick
from dermoscope.studies.pictures import KINDS, drawn

DIMENSIONS = 64
"""Leading dimensions of the embedding for Mahalanobis, as in bundles; fewer where there are few cases."""

SHARE = 0.95
"""Share of known validation cases below the limit."""

RESAMPLES = 500
"""Of each interval: there are some two hundred, and nothing hangs on the third digit of a bound."""

OF_A_KIND = 60
"""Drawn pictures of each kind."""

RARE = ("AK", "DF", "VASC", "SCC")
"""Diagnoses that stand in for UNK in the ablation: each is too rare to change what the others look like."""

Scores = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""Features [cases, features] -> score of each case, by the name of the score."""

STEPPAN = "Steppan & Hanke 2021 (arXiv 2101.03814)"


@dataclass(frozen=True, eq=False)
class Data:
    """Features and diagnoses: training, known cases to compare with, another clinic (None where it is not here)."""

    cases: Material
    training: Float[np.ndarray, "cases features"]
    validation: Float[np.ndarray, "others features"]
    elsewhere: Float[np.ndarray, "more features"] | None


def plan(asked: Asked) -> Plan:
    """Recipe and cases of the study."""
    recipe = quick(asked.settings)
    check_used(asked, "backbone", "balance", "seed", "preprocessing")
    cases = material(asked)
    settings = {**recipe.as_dict(), "dimensions": DIMENSIONS, "share": SHARE, "drawn": OF_A_KIND}
    return Plan(settings, cases.told(), cases)


def run(context: Context) -> tuple[Row, ...]:
    """Rows: each diagnosis left out, all of them together, other kinds of picture, cameras, UNK as a ninth class."""
    recipe, cases = quick(context.asked.settings), context.plan.held
    parts = cases.divided(embedded(context, recipe, cases.paths))
    data = Data(cases, parts[0], parts[1], parts[2] if len(parts) > 2 else None)
    held = [code for code, n in cases.training.counts().items() if n >= 10]
    rows = []
    for done, code in enumerate(held, start=1):
        rows.append(_left_out(context, data, code))
        context.told("diagnoses left out", done, len(held) + 1)
    scores = _scores(context, data, np.ones(len(data.training), bool))
    rows += [*_other_kinds(context, data, scores), *_cameras(data, scores), *_ninth_class(context, data)]
    context.told("diagnoses left out", len(held) + 1, len(held) + 1)
    return tuple(rows)


def _scores(context: Context, data: Data, known: np.ndarray) -> Scores:
    """The scores of a head and of statistics that have seen the known training cases only."""
    features, labels = data.training[known], data.cases.training.labels[known]
    codes, columns = np.unique(labels, return_inverse=True)
    weight, bias, _ = fitted(quick(context.asked.settings), features, columns, len(codes))
    statistics = fit_ood(features, labels, features, dimensions=min(DIMENSIONS, len(features) // 4))

    def found(rows: np.ndarray) -> Mapping[str, np.ndarray]:
        logits = (rows @ weight.T + bias).astype(float)
        probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
        confidence = (probabilities / probabilities.sum(axis=1, keepdims=True)).max(axis=1)
        return {
            "energy": energy(logits),
            "mahalanobis": statistics.distance(rows).astype(float),
            "confidence": 1 - confidence,
        }

    return found


def _left_out(context: Context, data: Data, code: str) -> Row:
    training, validation = data.cases.training, data.cases.validation
    column = training.taxonomy.index(code)
    known = training.labels != column
    scores = _scores(context, data, known)
    usual = validation.labels != column
    strange = [*_where(training, ~known), *_where(validation, ~usual)]
    rows = np.concatenate([data.training[~known], data.validation[~usual]])
    split = f"{code} of the roles training and validation against the known of validation ({data.cases.name})"
    compared = _compared(scores, rows, strange, data.validation[usual], _where(validation, usual), split)
    note = f"{len(rows)} lesions of {code} that the head has never seen, {usual.sum()} known ones"
    return _row(f"without {code}", f"{code} left out of the training", compared, note)


def _where(cases: Iterable[Case], mask: np.ndarray) -> list[Case]:
    return [case for case, kept in zip(cases, mask, strict=True) if kept]


def _compared(
    scores: Scores,
    strange: np.ndarray,
    strange_cases: Sequence[Case],
    usual: np.ndarray,
    usual_cases: Sequence[Case],
    split: str,
) -> tuple[Measured, ...]:
    """AUC, AUC among pictures of one source, and share caught, of each score."""
    groups = [c.group for c in (*strange_cases, *usual_cases)]
    sources = [c.source or "" for c in (*strange_cases, *usual_cases)]
    positive = np.arange(len(groups)) < len(strange)
    out = []
    for (name, of_strange), of_usual in zip(scores(strange).items(), scores(usual).values(), strict=True):
        values = np.concatenate([of_strange, of_usual])
        out.append(_auc(f"{name}.auc", positive, values, [""] * len(groups), groups, split))
        if len(set(sources)) > 1:
            out.append(_auc(f"{name}.auc_within_source", positive, values, sources, groups, split))
        out.append(_caught(name, of_strange > fit_limit(of_usual, SHARE), [c.group for c in strange_cases], split))
    return tuple(out)


def _auc(
    metric: str, positive: np.ndarray, values: np.ndarray, strata: Sequence[str], groups: Sequence[str], split: str
) -> Measured:
    estimate = stratified_auc(positive, values, strata, groups=groups, resamples=RESAMPLES)
    return Measured(metric, estimate, split, "quick")


def _caught(name: str, hits: np.ndarray, groups: Sequence[str], split: str) -> Measured:
    everyone = np.ones(len(hits), bool)
    clusters = cluster(groups, np.zeros(len(hits), int), "lesion")
    return Measured(f"{name}.caught", rate(hits, everyone, np.ones(len(hits)), clusters), split, "quick")


def _row(name: str, title: str, measured: tuple[Measured, ...], note: str = "", claims: tuple[Claim, ...] = ()) -> Row:
    return Row("ood", "method check", name, title, claims, measured, note)


def _other_kinds(context: Context, data: Data, scores: Scores) -> list[Row]:
    """Drawn pictures of other kinds, and the other clinic, against known validation cases."""
    rows = []
    files = {kind: drawn(kind, OF_A_KIND, context.folder / "drawn") for kind in KINDS}
    every = embedded(context, quick(context.asked.settings), [path for paths in files.values() for path in paths])
    for (kind, paths), features in zip(files.items(), np.split(every, len(files)), strict=True):
        cases = [Case(path.stem, path) for path in paths]
        split = f"{len(paths)} drawn pictures against validation ({data.cases.name})"
        compared = _compared(scores, features, cases, data.validation, list(data.cases.validation), split)
        compared = tuple(m for m in compared if "within_source" not in m.metric)
        rows.append(_row(f"kind: {kind}", KINDS[kind], compared, "drawn, no photograph"))
    return rows


def _cameras(data: Data, scores: Scores) -> list[Row]:
    """Whether a score tells sources apart among known diagnoses: pairs of one diagnosis, so .5 is what is wanted."""
    cases = list(data.cases.validation)
    features = data.validation
    if data.elsewhere is not None and data.cases.elsewhere is not None:
        cases = [*cases, *data.cases.elsewhere]
        features = np.concatenate([features, data.elsewhere])
    sources = np.array([c.source or "" for c in cases])
    diagnoses, groups = [c.diagnosis or "" for c in cases], [c.group for c in cases]
    found = scores(features)
    own = {c.source or "" for c in data.cases.validation}
    out = []
    for source in sorted(set(sources)) if len(set(sources)) > 1 else ():
        among = np.isin(sources, sorted(own | {source}))
        kept = [k for k, a in enumerate(among) if a]
        measured = tuple(
            _auc(
                f"{name}.auc",
                sources[kept] == source,
                values[kept],
                [diagnoses[k] for k in kept],
                [groups[k] for k in kept],
                "role validation, known diagnoses, pairs of one diagnosis",
            )
            for name, values in found.items()
        )
        note = "the nearer to .5 the better" + ("" if source in own else "; another clinic, squeezed pictures")
        out.append(_row(f"camera: {source}", f"{source} against the sources trained on", measured, note))
    return out


def _ninth_class(context: Context, data: Data) -> list[Row]:
    """One rare diagnosis trained as UNK, and its score for another one that was left out."""
    counts = data.cases.training.counts()
    rare = [code for code in RARE if counts.get(code, 0) >= 10]
    pairs = list(permutations(rare, 2))
    if not pairs:
        return []
    found = {pair: _unknown_scores(context, data, *pair) for pair in pairs}
    measured = tuple(
        Measured(f"unk.auc_{name}", _pooled({pair: both[at] for pair, both in found.items()}), split, "quick")
        for at, name, split in (
            (0, "trained", "the diagnosis trained as UNK, role validation, against the known of validation"),
            (1, "other", "a diagnosis left out, roles training and validation, against the known of validation"),
        )
    )
    claim = Claim("ISIC 2019", "ISIC 2019 test", "unk.auc", 0.638, "ensemble", STEPPAN, "AUC of UNK on the live test")
    note = (
        f"{len(pairs)} pairs of {', '.join(rare)}: one is the class UNK, one is left out, AUC within one pair "
        "of them; not the paper's UNK, which was learnt from clinical photographs (SD-198) that are not here"
    )
    return [_row("UNK as a class", "UNK trained as a ninth class, on another diagnosis", measured, note, (claim,))]


Compared = tuple[np.ndarray, np.ndarray, list[str]]
"""Which cases are unknown, their scores, and their lesions."""


def _unknown_scores(context: Context, data: Data, unk: str, other: str) -> tuple[Compared, Compared]:
    """Probability of the class that was trained with `unk`, on validation cases of `unk` and on `other`."""
    training, validation = data.cases.training, data.cases.validation
    away, trained = training.taxonomy.index(other), training.taxonomy.index(unk)
    kept = training.labels != away
    codes, columns = np.unique(training.labels[kept], return_inverse=True)
    weight, bias, _ = fitted(quick(context.asked.settings), data.training[kept], columns, len(codes))

    def probability(rows: np.ndarray) -> np.ndarray:
        logits = (rows @ weight.T + bias).astype(float)
        logits -= logits.max(axis=1, keepdims=True)
        return np.exp(logits[:, list(codes).index(trained)]) / np.exp(logits).sum(axis=1)

    own = validation.labels == trained
    known = ~own & (validation.labels != away)
    known_groups = [c.group for c in _where(validation, known)]

    def against(rows: np.ndarray, cases: Sequence[Case]) -> Compared:
        values = np.concatenate([probability(rows), probability(data.validation[known])])
        return np.arange(len(values)) < len(rows), values, [*(c.group for c in cases), *known_groups]

    strange = [*_where(training, ~kept), *_where(validation, validation.labels == away)]
    rows = np.concatenate([data.training[~kept], data.validation[validation.labels == away]])
    return against(data.validation[own], _where(validation, own)), against(rows, strange)


def _pooled(found: Mapping[tuple[str, str], Compared]) -> Estimate:
    """AUC over pairs of cases that one head has scored; a lesion is drawn with all the heads that scored it."""
    positive, values = (np.concatenate([compared[k] for compared in found.values()]) for k in (0, 1))
    strata = ["/".join(pair) for pair, compared in found.items() for _ in compared[2]]
    groups = [group for compared in found.values() for group in compared[2]]
    return stratified_auc(positive, values, strata, groups=groups, resamples=RESAMPLES)


STUDY = Study(
    name="ood",
    title="Whether the unknown can be told",
    paper=Paper(
        "liu2020",
        "Liu et al. 2020, Energy-based out-of-distribution detection, NeurIPS",
        "@inproceedings{liu2020,\n  author = {Liu, Weitang and Wang, Xiaoyun and Owens, John and Li, Yixuan},\n"
        "  title = {Energy-based Out-of-distribution Detection},\n"
        "  booktitle = {Advances in Neural Information Processing Systems},\n  volume = {33},\n  year = {2020}\n}",
    ),
    claims=(),
    plan=plan,
    run=run,
)
