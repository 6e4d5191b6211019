"""Stored rows as plain values, as exports write them."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from dermoscope.serve.answers import CaseAnswer
from dermoscope.serve.tables import Case, Image, Reading, Result

Row = dict[str, Any]


def reading_row(reading: Reading, seen: bool) -> Row:
    """A reading; what followed from it only where the answer was `seen`."""
    case = reading.case
    took = None if reading.opened_at is None else (reading.made_at - reading.opened_at).total_seconds()
    return {
        **{name: getattr(reading, name) for name in ("reader", "diagnosis", "decision", "confidence", "experience")},
        "case": f"{case.id}-{reading.visit}",
        "phase": reading.phase,
        "aided": reading.aided,
        "case_id": case.id,
        "visit": reading.visit,
        "pseudonym": case.patient.pseudonym,
        "lesion": case.lesion,
        "mode": reading.mode,
        "order": reading.order,
        "opened_at": time_text(reading.opened_at),
        "made_at": time_text(reading.made_at),
        "seconds": None if took is None else round(took, 1),
        "resolved": reading.resolved if seen else None,
        "disagrees": reading.disagrees if seen else None,
        "results_shown": reading.shown,
        "histology": case.histology,
    }


def case_row(case: Case) -> Row:
    """A case without its pictures."""
    return {
        "case_id": case.id,
        "pseudonym": case.patient.pseudonym,
        "lesion": case.lesion,
        "body_site": case.body_site,
        "intake": list(case.intake),
        "sample": case.sample,
        "batch": case.job_id,
        "created_at": time_text(case.created_at),
        "created_by": case.created_by,
    }


def picture_row(image: Image) -> Row:
    """A picture, without what was said of it."""
    names = ("visit", "kind", "width", "height", "device", "polarisation", "added_by")
    return {
        **{name: getattr(image, name) for name in names},
        "image_id": image.id,
        "sha256": image.digest,
        "captured_on": None if image.captured_on is None else image.captured_on.isoformat(),
        "added_at": time_text(image.added_at),
    }


def result_row(result: Result) -> Row:
    """What the model said of a picture, with its probabilities as `p_CODE`."""
    held: Mapping[str, Any] = result.prevalence
    names = ("model", "mode", "order", "answer", "cause", "suspected", "ood")
    return {
        **{name: getattr(result, name) for name in names},
        "read_at": time_text(result.made_at),
        "prevalence": held.get("name"),
        "prevalence_malignant": held.get("malignant"),
        "prevalence_melanoma": held.get("melanoma"),
        "warnings": list(result.warnings),
        **{f"p_{code}": share for code, share in result.probabilities.items()},
    }


def read_row(readings: Sequence[Reading], seen: bool) -> Row:
    """How many readings there are, and the last of them."""
    if not readings:
        return {"readings": 0}
    last = readings[-1]
    return {
        "readings": len(readings),
        "last_reader": last.reader,
        "last_decision": last.decision,
        "last_diagnosis": last.diagnosis,
        "resolved": last.resolved if seen else None,
        "disagrees": last.disagrees if seen else None,
    }


def outcome_row(case: Case) -> Row:
    """What histology said."""
    on = case.histology_on
    return {
        "histology": case.histology,
        "histology_on": None if on is None else on.isoformat(),
        "histology_by": case.histology_by,
        "closed_at": time_text(case.closed_at),
    }


def answer_row(answer: CaseAnswer) -> Row:
    """The answer to a visit."""
    said = answer.answer
    return {
        "answer": said.kind,
        "cause": said.cause,
        "suspected": said.suspected,
        "reasons": list(said.reasons),
        "figures": dict(said.figures),
        "melanoma": answer.numbers.melanoma,
        "malignant": answer.numbers.malignant,
        "ranked": list(answer.ranked),
        "image_id": answer.result.image_id,
    }


def full_result(result: Result) -> Row:
    """Everything that is stored of a result."""
    names = ("id", "model", "mode", "order", "answer", "cause", "suspected", "ood")
    lists = ("prevalence", "prior", "figures", "probabilities", "calibrated", "quality")
    return {
        **{name: getattr(result, name) for name in names},
        **{name: dict(getattr(result, name)) for name in lists},
        "reasons": list(result.reasons),
        "warnings": list(result.warnings),
        "intake": list(result.intake),
        "made_at": time_text(result.made_at),
    }


def time_text(when: datetime.datetime | None) -> str | None:
    """A moment as ISO 8601, UTC."""
    return None if when is None else when.astimezone(datetime.UTC).isoformat(timespec="seconds")
