"""Who says what first, who sees what when, and what is kept of it."""

import io

import pytest
from PIL import Image
from sqlalchemy import select

from dermoscope.core.errors import BundleError, ConflictError, ForbiddenError, NotFoundError, ValueRuleError
from dermoscope.data.synthetic import draw
from dermoscope.serve import answers, cases, readings, site
from dermoscope.serve.accounts import Person
from dermoscope.serve.cases import NewCase
from dermoscope.serve.desk import Desk, Service
from dermoscope.serve.readings import Said
from dermoscope.serve.tables import Event, Opening
from dermoscope.serve.uploads import clean

ANNA, BEN = Person("anna", "admin"), Person("ben", "reader")
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def case_id(service: Service) -> int:
    with service.desk(ANNA) as desk:
        made = cases.create(desk, NewCase("P1")).id
    cases.add_images(service, ANNA, made, [clean(draw(1, "MEL").jpeg(), "1.jpg")], "dermoscopic")
    return made


def seen(service: Service, person: Person, case_id: int) -> bool:
    with service.looking(person) as desk:
        return answers.visible(desk, cases.get(desk, case_id))


def setting(service: Service, **values: object) -> None:
    for name, value in values.items():
        with service.desk(ANNA) as desk:
            site.change(desk, name, value)


def refused(desk: Desk, case_id: int) -> str:
    with pytest.raises(ForbiddenError) as error:
        answers.require_visible(desk, cases.get(desk, case_id))
    return str(error.value)


@pytest.mark.parametrize(
    ("mode", "order", "before", "after_own", "after_other"),
    [
        ("open", "human_first", False, True, True),
        ("study", "human_first", False, True, False),
        ("silent", "human_first", False, False, False),
        ("open", "ai_first", True, True, True),
        ("study", "ai_first", True, True, True),
        ("silent", "ai_first", False, False, False),
    ],
)
def test_when_an_answer_is_seen(
    service: Service, case_id: int, mode: str, order: str, before: bool, after_own: bool, after_other: bool
) -> None:
    setting(service, mode=mode, order=order)
    assert (seen(service, ANNA, case_id), seen(service, BEN, case_id)) == (before, before)
    with service.desk(ANNA) as desk:
        reading = readings.lock(desk, case_id, Said("low_concern", "NV", 0.5, "ten years"))
        assert (reading.aided, reading.mode, reading.order) == (before, mode, order)
    assert (seen(service, ANNA, case_id), seen(service, BEN, case_id)) == (after_own, after_other)


def test_both_readings_are_kept_with_their_times_and_what_was_shown(service: Service, case_id: int) -> None:
    with service.desk(ANNA) as desk:
        case = cases.get(desk, case_id)
        assert refused(desk, case_id) == f"the answer to case {case_id} appears once your own reading is locked"
        readings.opened(desk, case)
    with service.desk(ANNA) as desk:
        readings.lock(desk, case_id, Said("low_concern", "NV", 0.7))
        readings.opened(desk, cases.get(desk, case_id))
    with service.desk(ANNA) as desk:
        readings.revise(desk, case_id, Said("refer", "MEL", 0.9))
    with service.looking(ANNA) as desk:
        case = cases.get(desk, case_id)
        own = readings.of(desk, case)
        assert own.first is not None
        assert own.revised is not None
        assert (own.first.decision, own.first.aided, own.first.shown) == ("low_concern", False, [])
        answer = answers.answer_of(desk, case)
        assert answer is not None
        assert (own.revised.decision, own.revised.aided) == ("refer", True)
        assert own.revised.shown == [str(answer.result.id)]
        (opening,) = desk.session.scalars(select(Opening))
        assert opening.answered_at is not None
        assert opening.opened_at < own.first.made_at < opening.answered_at < own.revised.made_at
        assert own.first.opened_at == opening.opened_at
        said = [e.what for e in desk.session.scalars(select(Event).order_by(Event.id))]
        assert said[-3:] == ["reading.locked", "answer.shown", "reading.revised"]


def test_a_record_is_never_written_twice(service: Service, case_id: int) -> None:
    with service.desk(ANNA) as desk:
        with pytest.raises(ConflictError, match="lock your own reading"):
            readings.revise(desk, case_id, Said("refer"))
        readings.lock(desk, case_id, Said("refer"))
        with pytest.raises(ConflictError, match="locked already"):
            readings.lock(desk, case_id, Said("refer"))
        readings.revise(desk, case_id, Said("refer"))
        with pytest.raises(ConflictError, match="revised already"):
            readings.revise(desk, case_id, Said("refer"))


def test_nothing_can_be_revised_by_an_answer_that_is_not_shown(service: Service, case_id: int) -> None:
    setting(service, mode="silent")
    with service.desk(ANNA) as desk:
        readings.lock(desk, case_id, Said("low_concern"))
        assert "silent mode" in refused(desk, case_id)
        with pytest.raises(ForbiddenError, match="nothing to revise"):
            readings.revise(desk, case_id, Said("refer"))


def test_who_saw_the_answer_before_the_rules_were_changed_reads_with_it(service: Service, case_id: int) -> None:
    setting(service, mode="study", order="ai_first")
    with service.desk(ANNA) as desk:
        readings.opened(desk, cases.get(desk, case_id))
    setting(service, order="human_first")
    with service.desk(ANNA) as desk:
        assert not answers.visible(desk, cases.get(desk, case_id))
        reading = readings.lock(desk, case_id, Said("refer"))
        assert (reading.aided, len(reading.shown)) == (True, 1)
        with pytest.raises(ConflictError, match="one reading is all"):
            readings.revise(desk, case_id, Said("low_concern"))
    with service.desk(BEN) as desk:
        assert not readings.lock(desk, case_id, Said("refer")).aided


def test_a_reading_is_of_the_pictures_that_were_looked_at(service: Service, case_id: int) -> None:
    with service.desk(ANNA) as desk:
        readings.lock(desk, case_id, Said("refer"), visit=1)
    cases.add_images(service, ANNA, case_id, [clean(draw(2, "NV").jpeg(), "2.jpg")], "dermoscopic")
    with service.desk(BEN) as desk:
        with pytest.raises(ConflictError, match="at visit 2 by now, and visit 1 was read"):
            readings.lock(desk, case_id, Said("low_concern"), visit=1)
        assert readings.lock(desk, case_id, Said("low_concern"), visit=2).visit == 2


def test_a_closed_case_is_read_no_more(service: Service, case_id: int) -> None:
    with service.desk(ANNA) as desk:
        cases.enter_histology(desk, case_id, "NV")
        with pytest.raises(ConflictError, match="closed"):
            readings.lock(desk, case_id, Said("refer"))


def test_a_disagreement_resolves_towards_referral(service: Service, case_id: int) -> None:
    with service.desk(ANNA) as desk:
        answer = answers.answer_of(desk, cases.get(desk, case_id))
        assert answer is not None
        for decision in readings.DECISIONS:
            resolved, differs = readings.resolution(desk, decision, answer)
            if "refer" in (decision, answer.kind) and answer.kind != "cannot_assess":
                assert resolved == "refer"
            assert differs == ({decision, answer.kind} == {"refer", "low_concern"})
        assert readings.resolution(desk, "low_concern", None) == ("low_concern", False)


def test_silent_answers_change_nothing_that_a_reader_is_told(service: Service, case_id: int) -> None:
    setting(service, mode="silent")
    with service.desk(ANNA) as desk:
        reading = readings.lock(desk, case_id, Said("low_concern"))
        assert (reading.resolved, reading.disagrees, reading.shown) == ("low_concern", False, [])


def test_others_readings_appear_with_the_answer(service: Service, case_id: int) -> None:
    setting(service, mode="study")
    with service.desk(ANNA) as desk:
        readings.lock(desk, case_id, Said("refer"))
    with service.desk(BEN) as desk:
        assert readings.of(desk, cases.get(desk, case_id)).others == ()
        readings.lock(desk, case_id, Said("low_concern"))
        assert [r.reader for r in readings.of(desk, cases.get(desk, case_id)).others] == ["anna"]


def test_what_cannot_be_said_is_refused(service: Service, case_id: int) -> None:
    for fields, why in (
        ({"decision": "excise"}, "no decision 'excise'"),
        ({"decision": "refer", "confidence": 1.5}, "a confidence of 1.5"),
        ({"decision": "refer", "confidence": float("nan")}, "a confidence of nan"),
        ({"decision": "refer", "experience": "x" * 81}, "more than 80 characters"),
    ):
        with pytest.raises(ValueRuleError, match=why):
            Said(**fields)  # type: ignore[arg-type]
    with service.desk(ANNA) as desk, pytest.raises(ValueRuleError, match="no diagnosis 'XYZ'"):
        readings.lock(desk, case_id, Said("refer", "XYZ"))


def test_a_heat_map_appears_with_the_answer_and_not_before(service: Service, case_id: int) -> None:
    with service.looking(ANNA) as desk:
        image = cases.get(desk, case_id).images[0].id
    with pytest.raises(ForbiddenError, match="appears once your own reading is locked"):
        answers.heat_map(service, ANNA, image, "MEL")
    with service.desk(ANNA) as desk:
        readings.lock(desk, case_id, Said("refer"))
    picture = Image.open(io.BytesIO(answers.heat_map(service, ANNA, image, "MEL")))
    assert (picture.mode, picture.size) == ("RGBA", (192, 192))
    with pytest.raises(BundleError, match="no diagnosis 'XYZ'"):
        answers.heat_map(service, ANNA, image, "XYZ")
    with service.desk(ANNA) as desk:
        answers.get_result(desk, image).model = "0" * 64
    with pytest.raises(NotFoundError, match="another model"):
        answers.heat_map(service, ANNA, image, "MEL")


def test_whoever_saw_the_answer_to_a_picture_in_another_case_reads_it_aided(service: Service, case_id: int) -> None:
    setting(service, mode="study")
    with service.desk(BEN) as desk:
        copy = cases.create(desk, NewCase("mine")).id
    cases.add_images(service, BEN, copy, [clean(draw(1, "MEL").jpeg(), "1.jpg")], "dermoscopic")
    with service.desk(BEN) as desk:
        assert not readings.lock(desk, copy, Said("refer")).aided
        readings.opened(desk, cases.get(desk, copy))
    with service.desk(BEN) as desk:
        assert not answers.visible(desk, cases.get(desk, case_id))
        assert readings.lock(desk, case_id, Said("refer")).aided
    with service.desk(ANNA) as desk:
        assert not readings.lock(desk, case_id, Said("refer")).aided
