"""What is taken along: all that somebody may see, and never more than the pages show."""

import csv
import io
import json

import pytest
from sqlalchemy import select

from dermoscope.core.errors import NotFoundError
from dermoscope.core.readings import ReaderStudy
from dermoscope.core.readings import Reading as Judgement
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.synthetic import draw
from dermoscope.report.case import CaseSheet
from dermoscope.serve import answers, cases, export, readings, site
from dermoscope.serve.accounts import Language, Person, Role
from dermoscope.serve.cases import NewCase
from dermoscope.serve.desk import Service
from dermoscope.serve.readings import Said
from dermoscope.serve.sheet import sheet_of
from dermoscope.serve.tables import Event
from dermoscope.serve.uploads import Upload, clean

ADMIN, ANNA, BEN = Person("root", "admin"), Person("anna", "reader"), Person("ben", "reader")
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def drawn() -> list[Upload]:
    return [clean(draw(seed, "MEL", size=(640, 480)).jpeg(), f"{seed}.jpg") for seed in (1, 2)]


def new(service: Service, drawn: list[Upload], pseudonym: str = "P1", **fields: object) -> int:
    with service.desk(ANNA) as desk:
        made = cases.create(desk, NewCase(pseudonym, **fields)).id
    cases.add_images(service, ANNA, made, drawn, "dermoscopic")
    return made


def locked(service: Service, person: Person, case_id: int, said: Said) -> None:
    with service.desk(person) as desk:
        readings.opened(desk, cases.get(desk, case_id))
        readings.lock(desk, case_id, said)


def setting(service: Service, name: str, value: object) -> None:
    with service.desk(ADMIN) as desk:
        site.change(desk, name, value)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def sheet(service: Service, person: Person, case_id: int) -> CaseSheet:
    with service.looking(person) as desk:
        return sheet_of(desk, case_id)


def test_the_readings_are_a_reader_study(service: Service, drawn: list[Upload]) -> None:
    first, second = (new(service, drawn[:1], pseudonym) for pseudonym in ("P1", "P2"))
    locked(service, ANNA, first, Said("low_concern", "NV", 0.7, "8 years"))
    with service.desk(ANNA) as desk:
        readings.revise(desk, first, Said("refer", "MEL"))
    locked(service, BEN, second, Said("cannot_assess"))
    with service.desk(ADMIN) as desk:
        cases.enter_histology(desk, first, "MEL")
    found = rows(export.readings_csv(service, ADMIN))
    assert [(r["reader"], r["case"], r["phase"], r["aided"]) for r in found] == [
        ("anna", f"{first}-1", "first", "false"),
        ("anna", f"{first}-1", "revised", "true"),
        ("ben", f"{second}-1", "first", "false"),
    ]
    assert found[0]["confidence"] == "0.7"
    assert found[1]["results_shown"] != ""
    assert float(found[0]["seconds"]) >= 0
    assert found[0]["made_at"].endswith("+00:00")
    assert [r["histology"] for r in found] == ["MEL", "MEL", ""]
    judgements = tuple(
        Judgement(
            r["reader"],
            r["case"],
            r["diagnosis"] or None,
            r["decision"],  # type: ignore[arg-type]
            float(r["confidence"]) if r["confidence"] else None,
            r["experience"] or None,
            r["phase"],
            r["aided"] == "true",
        )
        for r in found[:2]
    )
    assert ReaderStudy(judgements, ISIC2019, {f"{first}-1": "MEL"}).readers == ("anna",)


def test_the_history_has_a_line_for_each_picture(service: Service, drawn: list[Upload]) -> None:
    setting(service, "order", "ai_first")
    made = new(service, drawn, body_site="head_neck", intake=("nail", "scar"))
    cases.add_images(service, ANNA, made, drawn[:1], "overview")
    found = rows(export.history_csv(service, ADMIN))
    assert [r["kind"] for r in found] == ["dermoscopic", "dermoscopic", "overview"]
    assert (found[0]["intake"], found[0]["body_site"], found[0]["sample"]) == ("nail;scar", "head_neck", "false")
    assert [r["answer"] for r in found] == ["cannot_assess", "cannot_assess", ""]
    assert (found[0]["cause"], found[0]["case_answer"], found[0]["readings"]) == ("intake.nail", "cannot_assess", "0")
    assert sum(float(found[0][f"p_{code}"]) for code in ISIC2019.codes) == pytest.approx(1)
    assert found[0]["model"] == service.engine.predictor.bundle.sha256
    assert found[0]["prevalence"] == "referral_centre"


@on_sqlite
@pytest.mark.parametrize(
    ("mode", "order", "role"),
    [
        ("silent", "human_first", "admin"),
        ("silent", "ai_first", "reader"),
        ("study", "human_first", "admin"),
        ("study", "human_first", "reader"),
        ("study", "ai_first", "reader"),
        ("open", "human_first", "reader"),
    ],
)
def test_nobody_learns_an_answer_that_is_not_visible(
    service: Service, drawn: list[Upload], mode: str, order: str, role: Role
) -> None:
    anna = Person("anna", role)
    setting(service, "mode", mode)
    setting(service, "order", order)
    made = [new(service, drawn[:1], f"P{k}") for k in range(3)]
    locked(service, anna, made[0], Said("refer"))
    locked(service, BEN, made[1], Said("refer"))
    with service.looking(anna) as desk:
        seen = {case for case in made if answers.visible(desk, cases.get(desk, case))}
    history = rows(export.history_csv(service, anna))
    assert {int(r["case_id"]) for r in history if r["answer"] or r["case_answer"] or r["p_MEL"]} == seen
    assert {int(r["case_id"]) for r in rows(export.readings_csv(service, anna))} == {made[0]} | (seen & {made[1]})
    for case in made:
        told = export.case_json(service, anna, case)["visits"][0]
        assert (told["answer"] is not None, told["images"][0]["result"] is not None) == (case in seen, case in seen)
        assert (sheet(service, anna, case).answer is not None) == (case in seen)


@on_sqlite
def test_what_a_spreadsheet_would_calculate_stays_text(service: Service, drawn: list[Upload]) -> None:
    new(service, drawn[:1], '=HYPERLINK("http://x")', lesion='@a, "b"')
    found = rows(export.history_csv(service, ADMIN))
    assert (found[0]["pseudonym"], found[0]["lesion"]) == ('\'=HYPERLINK("http://x")', '\'@a, "b"')


@on_sqlite
def test_a_case_as_json_holds_every_visit_model_settings_and_notice(service: Service, drawn: list[Upload]) -> None:
    made = new(service, drawn[:1])
    locked(service, ANNA, made, Said("refer", "MEL"))
    cases.add_images(service, ANNA, made, drawn[1:], "dermoscopic")
    setting(service, "notice", {"en": "Protocol 7."})
    told = json.loads(json.dumps(export.case_json(service, ANNA, made), allow_nan=False))
    assert [visit["visit"] for visit in told["visits"]] == [1, 2]
    first, second = told["visits"]
    assert first["readings"][0]["diagnosis"] == "MEL"
    assert first["answer"]["answer"] == first["images"][0]["result"]["answer"]
    assert set(first["images"][0]["result"]["prior"]) == set(ISIC2019.codes)
    assert second["answer"] is None
    assert second["images"][0]["result"] is None
    assert told["model"]["sha256"] == service.engine.predictor.bundle.sha256
    assert told["site"]["mode"] == "open"
    assert told["notice"]["en"] == "Protocol 7."
    assert "Kein Medizinprodukt" in told["notice"]["de"]


@on_sqlite
@pytest.mark.parametrize(("language", "words"), [("en", "Low concern"), ("de", "Kein Verdacht")])
def test_the_sheet_speaks_the_readers_language(
    service: Service, drawn: list[Upload], language: Language, words: str
) -> None:
    person = Person("anna", "reader", language)
    made = new(service, drawn, intake=("scar",), sample=True)
    assert sheet(service, person, made).withheld != ""
    locked(service, person, made, Said("low_concern", "NV", 0.7))
    found = sheet(service, person, made)
    assert found.language == language
    assert found.readings.rows[0][2] == words
    assert found.answer is not None
    assert (found.answer.kind, found.answer.numbers, found.answer.ranked[1]) == ("cannot_assess", (), [])
    assert len(found.pictures) == 2
    assert found.banner != ""


@on_sqlite
def test_the_sheet_says_numbers_and_what_was_agreed(service: Service, drawn: list[Upload]) -> None:
    setting(service, "prevalence", {"name": "own", "malignant": 0.98, "melanoma": 0.97})
    made = new(service, drawn[:1])
    locked(service, ANNA, made, Said("low_concern"))
    found = sheet(service, ANNA, made)
    assert found.answer is not None
    assert found.answer.kind == "refer"
    assert found.answer.heading == "Suspicious: Melanoma"
    assert [label for label, _ in found.answer.numbers] == ["Melanoma", "Any malignant"]
    assert "of 100 such lesions" in found.answer.numbers[0][1]
    assert len(found.answer.ranked[1]) == 7
    assert found.readings.remark.startswith("A reader and the model disagree.")
    assert ("Prevalence", "Own numbers: of 100 lesions 98 malignant, 97 of them melanoma") in found.settings


@on_sqlite
def test_a_case_on_paper(service: Service, drawn: list[Upload]) -> None:
    made = new(service, drawn[:1])
    locked(service, ANNA, made, Said("refer"))
    assert export.case_pdf(service, ANNA, made).startswith(b"%PDF-")
    for ask in (export.case_pdf, export.case_json):
        with pytest.raises(NotFoundError, match="there is no case 99"):
            ask(service, ANNA, 99)


@on_sqlite
def test_every_export_stands_in_the_trail(service: Service, drawn: list[Upload]) -> None:
    made = new(service, drawn[:1])
    export.readings_csv(service, ANNA)
    export.history_csv(service, ADMIN)
    export.case_json(service, BEN, made)
    with service.looking(ADMIN) as desk:
        lines = desk.session.scalars(select(Event).where(Event.what == "exported").order_by(Event.id))
        assert [(e.who, e.subject) for e in lines] == [
            ("anna", "readings.csv"), ("root", "history.csv"), ("ben", f"case/{made}")
        ]  # fmt: skip
