"""Cases from the first image to histology, on both databases."""

import datetime
from collections.abc import Sequence

import pytest
from sqlalchemy import select

from dermoscope.core.errors import ConflictError, InputError, NotFoundError, ValueRuleError
from dermoscope.core.prediction import Prediction
from dermoscope.data.synthetic import draw
from dermoscope.refine.decision import INTAKE
from dermoscope.serve import answers, cases, readings, site, trail
from dermoscope.serve.accounts import Person
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.cases import NewCase
from dermoscope.serve.desk import Service
from dermoscope.serve.tables import Blob, Event, Result
from dermoscope.serve.uploads import Upload, clean

READER = Person("anna", "admin")
LATE = datetime.date(2999, 1, 1)


@pytest.fixture(scope="module")
def drawn() -> list[Upload]:
    return [clean(draw(seed, code).jpeg(), f"{seed}.jpg") for seed, code in ((1, "MEL"), (2, "NV"), (3, "BKL"))]


def new(service: Service, pseudonym: str = "P1", **fields: object) -> int:
    with service.desk(READER) as desk:
        return cases.create(desk, NewCase(pseudonym, **fields)).id


def events(service: Service) -> list[tuple[str, str]]:
    with service.looking(READER) as desk:
        return [(e.what, e.subject) for e in desk.session.scalars(select(Event).order_by(Event.id))]


def test_a_case_holds_its_images_and_what_the_model_said(service: Service, drawn: list[Upload]) -> None:
    made = new(service, body_site="head_neck")
    added = cases.add_images(service, READER, made, drawn[:2], "dermoscopic")
    assert (len(added.image_ids), added.notices) == (2, ())
    over = cases.add_images(service, READER, made, drawn[2:], "overview")
    with service.looking(READER) as desk:
        case = cases.get(desk, made)
        assert [i.kind for i in case.images] == ["dermoscopic", "dermoscopic", "overview"]
        assert case.images[2].id == over.image_ids[0]
        assert case.images[2].results == []
        answer = answers.answer_of(desk, case)
        assert answer is not None
        assert [r.image_id for r in answer.results] == list(added.image_ids)
        result = answer.result
        assert sum(result.probabilities.values()) == pytest.approx(1)
        assert sum(result.calibrated.values()) == pytest.approx(1)
        assert result.model == service.engine.predictor.bundle.sha256
        assert (result.mode, result.order) == ("open", "human_first")
        assert result.prevalence["name"] == "referral_centre"
        assert sum(result.prior.values()) == pytest.approx(1)
    said = events(service)
    assert ("case.created", f"case/{made}") in said
    assert sum(what == "image.added" for what, _ in said) == 3
    assert sum(what == "result.made" for what, _ in said) == 2


@pytest.mark.parametrize("flag", INTAKE)
def test_what_was_not_in_the_training_cannot_be_assessed(service: Service, drawn: list[Upload], flag: str) -> None:
    made = new(service, intake=(flag,))
    cases.add_images(service, READER, made, drawn[:1], "dermoscopic")
    with service.looking(READER) as desk:
        answer = answers.answer_of(desk, cases.get(desk, made))
        assert answer is not None
        assert (answer.kind, answer.answer.cause) == ("cannot_assess", f"intake.{flag}")


def test_corrected_intake_is_answered_anew_beside_the_old_answer(service: Service, drawn: list[Upload]) -> None:
    made = new(service, intake=("nail",))
    (image,) = cases.add_images(service, READER, made, drawn[:1], "dermoscopic").image_ids
    cases.change(service, READER, made, body_site="lateral_torso", intake=())
    with service.looking(READER) as desk:
        case = cases.get(desk, made)
        assert (case.body_site, case.intake) == ("lateral_torso", [])
        causes = [r.cause for r in cases.get_image(desk, image).results]
        assert causes[0] == "intake.nail"
        assert len(causes) == 2
        answer = answers.answer_of(desk, case)
        assert answer is not None
        assert answer.answer.cause == causes[1] != "intake.nail"
    with service.desk(READER) as desk:
        readings.lock(desk, made, readings.Said("refer"))
    with pytest.raises(ConflictError, match="has been read"):
        cases.change(service, READER, made, body_site=None, intake=("scar",))


def test_equal_bytes_are_two_records_and_a_notice(service: Service, drawn: list[Upload]) -> None:
    first, second = new(service, "P1"), new(service, "P2")
    third = new(service, "P1", lesion="left")
    cases.add_images(service, READER, first, drawn[:1], "dermoscopic")
    told = cases.add_images(service, READER, second, drawn[:1], "dermoscopic").notices
    assert [(n.code, n.figures) for n in told] == [("same_image_other_patient", {"case": first})]
    told = cases.add_images(service, READER, third, drawn[:1], "dermoscopic").notices
    assert [n.code for n in told] == ["same_image_same_patient", "same_image_other_patient"]
    told = cases.add_images(service, READER, third, drawn[:1], "overview").notices
    assert [(n.code, n.figures["case"]) for n in told] == list(zip(cases.TWINS, (third, first, second), strict=True))
    with service.looking(READER) as desk:
        (blob,) = desk.session.scalars(select(Blob))
        assert blob.references == 4
        assert desk.session.query(Result).count() == 3


def test_images_after_a_reading_are_another_visit(service: Service, drawn: list[Upload]) -> None:
    made = new(service)
    cases.add_images(service, READER, made, drawn[:1], "dermoscopic")
    cases.add_images(service, READER, made, drawn[1:2], "dermoscopic")
    with service.desk(READER) as desk:
        readings.lock(desk, made, readings.Said("low_concern"))
    cases.add_images(service, READER, made, drawn[2:], "dermoscopic")
    with service.looking(READER) as desk:
        case = cases.get(desk, made)
        assert (case.visit, [i.visit for i in case.images]) == (2, [1, 1, 2])
        now, before = answers.answer_of(desk, case), answers.answer_of(desk, case, 1)
        assert now is not None
        assert before is not None
        assert (len(now.results), len(before.results)) == (1, 2)
        assert readings.of(desk, case).first is None
        assert readings.of(desk, case, 1).first is not None


def test_an_image_added_by_mistake_can_go_until_it_is_read(service: Service, drawn: list[Upload]) -> None:
    made = new(service)
    first, second = cases.add_images(service, READER, made, drawn[:2], "dermoscopic").image_ids
    with service.desk(READER) as desk:
        cases.remove_image(desk, first)
    with service.desk(READER) as desk:
        assert [i.id for i in cases.get(desk, made).images] == [second]
        readings.lock(desk, made, readings.Said("refer"))
    with service.desk(READER) as desk, pytest.raises(ConflictError, match="stays with the readings"):
        cases.remove_image(desk, second)
    assert ("image.removed", f"image/{first}") in events(service)


def test_no_answer_that_may_be_known_is_taken_away(service: Service, drawn: list[Upload]) -> None:
    made = new(service)
    (image,) = cases.add_images(service, READER, made, drawn[:1], "dermoscopic").image_ids
    (over,) = cases.add_images(service, READER, made, drawn[1:2], "overview").image_ids
    with service.desk(READER) as desk:
        site.change(desk, "order", "ai_first")
        readings.opened(desk, cases.get(desk, made))
        cases.remove_image(desk, over)
    for order in ("ai_first", "human_first"):  # it was seen before the order was changed
        with service.desk(READER) as desk:
            site.change(desk, "order", order)
            with pytest.raises(ConflictError, match="may have been seen"):
                cases.remove_image(desk, image)


def test_no_image_leaves_a_closed_case(service: Service, drawn: list[Upload]) -> None:
    made = new(service)
    (image,) = cases.add_images(service, READER, made, drawn[:1], "dermoscopic").image_ids
    with service.desk(READER) as desk:
        cases.enter_histology(desk, made, "MEL")
        with pytest.raises(ConflictError, match="closed by its histology"):
            cases.remove_image(desk, image)
        cases.reopen(desk, made)
        cases.remove_image(desk, image)
        (line,) = desk.session.scalars(select(Event).where(Event.what == "image.removed"))
        assert (line.details["case"], len(line.details["results"])) == (made, 1)
        said = trail.opened(desk.session, line)
        assert said is not None
        assert (said["digest"], len(said["answers"])) == (Blobs.digest(drawn[0].data), 1)
        assert said["digest"] not in str(line.details)


def test_two_corrections_at_once_are_not_mixed(
    service: Service, drawn: list[Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = new(service, intake=("nail",))
    (image,) = cases.add_images(service, READER, made, drawn[:1], "dermoscopic").image_ids
    predict = service.engine.predict

    def meanwhile(images: Sequence[bytes]) -> Prediction:
        monkeypatch.undo()
        cases.change(service, READER, made, body_site=None, intake=("scar",))
        return predict(images)

    monkeypatch.setattr(service.engine, "predict", meanwhile)
    with pytest.raises(ConflictError, match="another intake in the meantime"):
        cases.change(service, READER, made, body_site=None, intake=())
    with service.looking(READER) as desk:
        held = cases.get_image(desk, image)
        assert (held.case.intake, held.results[-1].intake) == (["scar"], ["scar"])


def test_histology_closes_a_case_and_reopening_is_recorded(service: Service, drawn: list[Upload]) -> None:
    made = new(service)
    day = datetime.date(2026, 1, 2)
    with service.desk(READER) as desk:
        for code, on, why in (("XYZ", None, "knows no 'XYZ'"), ("MEL", LATE, "still to come")):
            with pytest.raises(InputError, match=why):
                cases.enter_histology(desk, made, code, on)
        cases.enter_histology(desk, made, "MEL", day)
    with pytest.raises(ConflictError, match=f"case {made} is closed by its histology; reopen it"):
        cases.add_images(service, READER, made, drawn[:1], "dermoscopic")
    with service.desk(READER) as desk:
        with pytest.raises(ConflictError, match="closed with MEL"):
            cases.enter_histology(desk, made, "NV")
        assert cases.get(desk, made).histology_on == day
        cases.reopen(desk, made)
        cases.enter_histology(desk, made, cases.OTHER)
    said = [what for what, subject in events(service) if subject == f"case/{made}"]
    closed = ["histology.entered", "case.closed"]
    assert said == ["case.created", *closed, "case.reopened", *closed]


def test_what_cannot_be_is_refused_and_nothing_is_stored(service: Service, drawn: list[Upload]) -> None:
    for fields, why in (
        ({"pseudonym": " "}, "give 1 to 80 printable"),
        ({"pseudonym": "a\u202eb"}, "give 1 to 80 printable"),
        ({"pseudonym": "P", "lesion": "x" * 41}, "give 1 to 40 printable"),
        ({"pseudonym": "P", "body_site": "moon"}, "no body site 'moon'"),
        ({"pseudonym": "P", "intake": ("old",)}, "intake knows no old"),
    ):
        with pytest.raises(ValueRuleError, match=why):
            NewCase(**fields)  # type: ignore[arg-type]
    made = new(service, "  P 1 ")
    with pytest.raises(ConflictError, match=f"lesion '1' of 'P 1' is case {made} already"):
        new(service, "P 1")
    with pytest.raises(NotFoundError, match="there is no case 99"):
        cases.add_images(service, READER, 99, drawn[:1], "dermoscopic")
    with pytest.raises(InputError, match="no kind of image"):
        cases.add_images(service, READER, made, drawn[:1], "x-ray")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no image was given"):
        cases.add_images(service, READER, made, [], "overview")
    assert events(service) == [("case.created", f"case/{made}")]
