"""The model's stored answers beside histology, as it comes: how good it would have been, whoever saw it.

Only lesions that somebody had excised have histology, and those are not drawn at random: sensitivity among them is
flattering, specificity unkind (partial verification; Begg & Greenes 1983, Biometrics 39:207). So what is missing is
counted by answer and stands beside every figure.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool
from sqlalchemy import select
from sqlalchemy.orm import Session

from dermoscope.core.estimate import Estimate
from dermoscope.core.prediction import AnswerKind
from dermoscope.core.taxonomy import ISIC2019, TAXONOMIES, Taxonomy
from dermoscope.evaluate.intervals import rate
from dermoscope.evaluate.resampling import Clusters, cluster
from dermoscope.refine.decision import PRECEDENCE
from dermoscope.refine.operating import masks
from dermoscope.serve.answers import answer_of_results
from dermoscope.serve.tables import Case, Image, Patient, Result

Cases = Bool[np.ndarray, " cases"]


@dataclass(frozen=True)
class Figure:
    """`hits` of `among` lesions, and the rate with its interval: patients are its unit where one has several."""

    hits: int
    among: int
    estimate: Estimate

    def as_dict(self) -> dict[str, Any]:
        """The estimate's fields and the two counts."""
        return {**self.estimate.as_dict(), "hits": self.hits, "among": self.among}


@dataclass(frozen=True)
class SilentReport:
    """Answers against outcomes. Samples are left out everywhere.

    `cases` were read by the model; `outcomes` of them have histology, `other` of those a diagnosis that the model does
    not know (in no figure but those of answers). `answers` and `missing` count kinds of answers, of all and of those
    without histology; `histology` counts them by diagnosis, `models` and `modes` by who gave them and when.
    `figures` are named as in `refine.operating.masks`, and `ppv` and `npv`: of those with a known outcome that were
    referred the share that was malignant, of those of low concern the share that was not.
    """

    taxonomy: Taxonomy
    cases: int
    patients: int
    outcomes: int
    other: int
    answers: Mapping[AnswerKind, int]
    missing: Mapping[AnswerKind, int]
    histology: Mapping[str, Mapping[AnswerKind, int]]
    models: Mapping[str, int]
    modes: Mapping[str, int]
    figures: Mapping[str, Figure]

    @property
    def without_outcome(self) -> int:
        """How many wait for histology, or never got one."""
        return self.cases - self.outcomes

    def as_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {
            "cases": self.cases,
            "patients": self.patients,
            "outcomes": self.outcomes,
            "without_outcome": self.without_outcome,
            "other": self.other,
            "answers": dict(self.answers),
            "missing": dict(self.missing),
            "histology": {code: dict(kinds) for code, kinds in self.histology.items()},
            "models": dict(self.models),
            "modes": dict(self.modes),
            "figures": {name: figure.as_dict() for name, figure in self.figures.items()},
        }


@dataclass(frozen=True)
class _Row:
    patient: int
    answer: AnswerKind
    histology: str | None
    model: str
    mode: str


def silent_report(session: Session, model: str | None = None) -> SilentReport:
    """The answer to every lesion at the last visit that the model read, against its histology.

    Of one `model` (SHA-256) or of all.
    """
    rows = [row for row in _rows(session) if model in (None, row.model)]
    taxonomy = _taxonomy(session)
    known = [row for row in rows if row.histology is not None]
    missing = Counter(row.answer for row in rows if row.histology is None)
    answers = Counter(row.answer for row in rows)
    return SilentReport(
        taxonomy,
        cases=len(rows),
        patients=len({row.patient for row in rows}),
        outcomes=len(known),
        other=sum(row.histology not in taxonomy for row in known),
        answers={kind: answers[kind] for kind in PRECEDENCE},
        missing={kind: missing[kind] for kind in PRECEDENCE},
        histology=_by_histology(known),
        models=dict(Counter(row.model for row in rows).most_common()),
        modes=dict(Counter(row.mode for row in rows).most_common()),
        figures=_figures(known, taxonomy),
    )


def _rows(session: Session) -> list[_Row]:
    """Every lesion at the last visit that the model read: one of overviews alone has no answer.

    Results of one image supersede each other, the last one counts.
    """
    last: dict[int, dict[int, Result]] = {}
    cases: dict[int, Case] = {}
    visits: dict[int, int] = {}
    wanted = select(Case, Image.visit, Result).join(Image, Image.case_id == Case.id)
    wanted = wanted.join(Result, Result.image_id == Image.id).join(Patient, Patient.id == Case.patient_id)
    wanted = wanted.where(Case.sample.is_(False)).order_by(Case.id, Image.visit, Image.id, Result.id)
    for case, visit, result in session.execute(wanted):
        if visits.get(case.id) != visit:
            visits[case.id], last[case.id] = visit, {}
        cases[case.id] = case
        last[case.id][result.image_id] = result
    found = []
    for case_id, results in last.items():
        answer = answer_of_results(tuple(results.values()))
        assert answer is not None, "a case is here by its results"
        case, result = cases[case_id], answer.result
        found.append(_Row(case.patient_id, answer.kind, case.histology, result.model, result.mode))
    return found


def _taxonomy(session: Session) -> Taxonomy:
    """The taxonomy whose diagnoses the stored answers are of; ISIC 2019 where there are none, or of several."""
    shares = session.scalar(select(Result.probabilities).order_by(Result.id.desc()).limit(1)) or {}
    return next((t for t in TAXONOMIES.values() if set(t.codes) == set(shares)), ISIC2019)


def _by_histology(known: Sequence[_Row]) -> dict[str, Mapping[AnswerKind, int]]:
    counted = Counter((str(row.histology), row.answer) for row in known)
    codes = Counter(str(row.histology) for row in known).most_common()
    return {code: {kind: counted[code, kind] for kind in PRECEDENCE} for code, _ in codes}


def _figures(known: Sequence[_Row], taxonomy: Taxonomy) -> dict[str, Figure]:
    codes = {code: column for column, code in enumerate(taxonomy.codes)}
    labels = np.array([codes.get(str(row.histology), -1) for row in known], dtype=np.int64)
    kinds = [row.answer for row in known]
    referred, calm = (np.array([kind == k for kind in kinds], dtype=bool) for k in ("refer", "low_concern"))
    malignant = (labels >= 0) & taxonomy.of_group("malignant")[labels]
    found = masks(kinds, labels, taxonomy)
    found["ppv"] = (malignant, referred & (labels >= 0), "referred case with a known outcome")
    found["npv"] = (~malignant, calm & (labels >= 0), "case of low concern with a known outcome")
    clusters = cluster([str(row.patient) for row in known], labels, "patient") if known else None
    return {name: _figure(hits, among, what, clusters) for name, (hits, among, what) in found.items()}


def _figure(hits: Cases, among: Cases, what: str, clusters: Clusters | None) -> Figure:
    count, total = int((hits & among).sum()), int(among.sum())
    if clusters is None or clusters.count(among) == total:
        return Figure(count, total, Estimate.of_counts(count, total, "lesion", what))
    return Figure(count, total, rate(hits, among, np.ones(len(hits)), clusters))
