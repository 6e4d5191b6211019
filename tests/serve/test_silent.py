"""Answers against histology: counted by hand, on both databases, and what is missing beside every figure."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from dermoscope.core.estimate import wilson
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.serve.options import Options
from dermoscope.serve.silent import SilentReport, silent_report
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Blob, Case, Image, Patient, Result

SHARES = dict.fromkeys(ISIC2019.codes, 1 / 8)


def add(session: Session, patient: str, answers: list[str], histology: str | None = None, **case: object) -> Case:
    """A lesion with an image for each answer."""
    owner = session.query(Patient).filter_by(pseudonym=patient).one_or_none() or Patient(pseudonym=patient)
    if session.get(Blob, "0" * 64) is None:
        session.add(Blob(digest="0" * 64, media="image/jpeg", size=1, references=1))
    number = str(session.query(Case).count())
    made = Case(patient=owner, lesion=number, created_by="r", histology=histology, **case)
    session.add(made)
    session.flush()
    for answer in answers:
        session.add(result(made, answer))
    session.flush()
    return made


def result(case: Case, answer: str, *, image: Image | None = None, model: str = "a" * 64) -> Result:
    cause = {"refer": "malignancy", "low_concern": "none", "cannot_assess": "blurred"}[answer]
    whose = image or Image(
        case=case, visit=case.visit, kind="dermoscopic", digest="0" * 64, width=9, height=9, added_by="r"
    )
    said = {"answer": answer, "cause": cause, "reasons": ["because"], "figures": {}, "warnings": [], "quality": {}}
    shares = {"probabilities": SHARES, "calibrated": SHARES, "prior": SHARES, "prevalence": {}, "intake": []}
    return Result(image=whose, model=model, mode="silent", order="human_first", **said, **shares)


@pytest.fixture
def report(store: Store) -> Callable[..., SilentReport]:
    def made(**wanted: str) -> SilentReport:
        with store.read() as session:
            return silent_report(session, **wanted)

    return made


def test_nothing_yet(report: Callable[..., SilentReport]) -> None:
    found = report()
    assert (found.cases, found.outcomes, found.without_outcome) == (0, 0, 0)
    assert found.figures["melanoma_sensitivity"].estimate.method == "not measurable: no melanoma"
    json.dumps(found.as_dict(), allow_nan=False)


def test_figures_counted_by_hand(store: Store, report: Callable[..., SilentReport]) -> None:
    said = [
        ("MEL", "refer"), ("MEL", "refer"), ("MEL", "cannot_assess"), ("MEL", "low_concern"),
        ("BCC", "refer"), ("AK", "refer"), ("NV", "refer"), ("NV", "low_concern"), ("NV", "low_concern"),
        ("NV", "cannot_assess"), ("other", "refer"), (None, "low_concern"), (None, "refer"), (None, "low_concern"),
    ]  # fmt: skip
    with store.begin() as session:
        for k, (histology, answer) in enumerate(said):
            add(session, f"P{k}", [answer], histology)
    found = report()
    assert (found.cases, found.patients, found.outcomes, found.without_outcome, found.other) == (14, 14, 11, 3, 1)
    assert found.answers == {"refer": 7, "cannot_assess": 2, "low_concern": 5}
    assert found.missing == {"refer": 1, "cannot_assess": 0, "low_concern": 2}
    assert found.histology["MEL"] == {"refer": 2, "cannot_assess": 1, "low_concern": 1}
    assert found.histology["other"] == {"refer": 1, "cannot_assess": 0, "low_concern": 0}
    counted = {name: (f.hits, f.among) for name, f in found.figures.items()}
    assert counted["melanoma_sensitivity"] == (3, 4)
    assert counted["melanoma_sensitivity_abstained_missed"] == (2, 4)
    assert counted["melanoma_sensitivity_answered"] == (2, 3)
    assert counted["malignant_sensitivity"] == (4, 5)
    assert counted["sensitivity"] == (5, 6)
    assert counted["specificity"] == (2, 4)
    assert counted["specificity_answered"] == (2, 3)
    assert counted["ppv"] == (3, 5)
    assert counted["npv"] == (2, 3)
    assert counted["answered"] == (9, 11)
    assert counted["NV.low_concern"] == (2, 4)
    melanoma = found.figures["melanoma_sensitivity"].estimate
    assert (melanoma.low, melanoma.high) == wilson(3, 4)
    assert (melanoma.method, melanoma.unit, melanoma.n) == ("wilson", "lesion", 4)


def test_samples_and_cases_without_an_answer_do_not_count(store: Store, report: Callable[..., SilentReport]) -> None:
    with store.begin() as session:
        add(session, "sample", ["refer"], "MEL", sample=True)
        add(session, "overview only", [], "MEL")
        add(session, "counts", ["refer"], "NV")
    found = report()
    assert found.cases == 1
    assert list(found.histology) == ["NV"]


def test_pictures_of_a_lesion_resolve_towards_referral(store: Store, report: Callable[..., SilentReport]) -> None:
    with store.begin() as session:
        add(session, "P", ["low_concern", "refer", "cannot_assess"], "MEL")
    assert report().answers == {"refer": 1, "cannot_assess": 0, "low_concern": 0}


def test_the_last_visit_and_the_last_result_of_an_image_count(
    store: Store, report: Callable[..., SilentReport]
) -> None:
    with store.begin() as session:
        case = add(session, "P", ["low_concern"], "MEL")
        case.visit = 2
        later = result(case, "low_concern", model="b" * 64)
        session.add(later)
        session.flush()
        session.add(result(case, "refer", image=later.image, model="b" * 64))
    found = report()
    assert found.answers["refer"] == found.cases == 1
    assert found.models == {"b" * 64: 1}
    assert report(model="a" * 64).cases == 0


def test_lesions_of_one_patient_are_not_independent(store: Store, report: Callable[..., SilentReport]) -> None:
    with store.begin() as session:
        for patient, answer in (("P", "refer"), ("P", "refer"), ("Q", "low_concern"), ("R", "refer")):
            add(session, patient, [answer], "MEL")
    figure = report().figures["melanoma_sensitivity_answered"]
    assert (figure.hits, figure.among) == (3, 4)
    assert (figure.estimate.unit, figure.estimate.n) == ("patient", 3)
    assert figure.estimate.method == "wilson, effective n"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_command(store: Store, options: Options, dermoscope: Callable[..., object]) -> None:
    said = dermoscope("silent-report", "--folder", options.folder)
    assert said.out == "No lesion was read by the model yet (samples do not count).\n"
    with store.begin() as session:
        add(session, "P", ["refer"], "MEL")
        add(session, "Q", ["low_concern"])
        add(session, "R", ["refer"], "other")
    told = json.loads(dermoscope("silent-report", "--folder", options.folder, "--json").out)
    assert told["figures"]["melanoma_sensitivity"]["hits"] == 1
    assert told["without_outcome"] == 1
    said = dermoscope("silent-report", "--folder", options.folder)
    assert said.code == 0
    assert "3 lesions of 3 patients were read by the model; 2 have histology, 1 of a diagnosis that" in said.out
    assert "1 without histology, by answer: 0 refer, 0 cannot assess, 1 low concern." in said.out
    assert "sensitivity among them is flattering" in said.out


def test_the_command_where_there_is_no_service(tmp_path: object, dermoscope: Callable[..., object]) -> None:
    said = dermoscope("silent-report", "--folder", tmp_path)
    assert said.code == 2
    assert said.err.endswith(f"{tmp_path}: no service has stored anything here; name its --folder or --database\n")


def test_a_visit_of_overviews_alone_does_not_hide_an_answer(store: Store, report: Callable[..., SilentReport]) -> None:
    with store.begin() as session:
        case = add(session, "P1", ["low_concern"], "MEL")
        case.visit = 2
        again = add(session, "P2", ["low_concern"], "MEL")
        again.visit = 2
        session.add(result(again, "refer"))
    found = report()
    assert (found.cases, found.outcomes) == (2, 2)
    assert found.histology["MEL"] == {"refer": 1, "low_concern": 1, "cannot_assess": 0}
