"""Pictures of one lesion that do not agree: told where the answer is, and nowhere before."""

import datetime
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from dermoscope.refine.agreement import Repeatability
from dermoscope.serve import agreement, answers, cases
from dermoscope.serve.accounts import Person
from dermoscope.serve.sheet import sheet_of
from dermoscope.serve.site import change
from dermoscope.serve.tables import Image, Result

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ADMIN = Person("root", "admin")
LOW = {"decision": "low_concern", "diagnosis": "NV"}
TITLE = "Pictures of this lesion do not agree"


def said(answer: str, melanoma: float) -> dict[str, Any]:
    """As if the model had said so of a picture."""
    rest = dict.fromkeys(("BCC", "AK", "BKL", "DF", "VASC", "SCC"), 0.0)
    shares = {"MEL": melanoma, "NV": 1 - melanoma, **rest}
    cause = {"refer": "malignancy", "low_concern": "none", "cannot_assess": "unlike"}[answer]
    figures = {"at_site": melanoma, "concern": melanoma, "floor_at": 0.02, "refer_at": 0.04}
    suspected = "MEL" if answer == "refer" else None
    return {"answer": answer, "cause": cause, "suspected": suspected, "figures": figures, "probabilities": shares,
            "calibrated": shares}  # fmt: skip


def answers_become(client: TestClient, *told: dict[str, Any]) -> None:
    """What was said of each picture, in their order."""
    with client.app.state.service.store.begin() as session:  # type: ignore[attr-defined]
        for result, fields in zip(session.scalars(select(Result).order_by(Result.id)), told, strict=True):
            for name, value in fields.items():
                setattr(result, name, value)


def setting(client: TestClient, name: str, value: object) -> None:
    with client.app.state.service.desk(ADMIN) as desk:  # type: ignore[attr-defined]
        change(desk, name, value)


def remark(page: str) -> str:
    """What the page says of pictures that do not agree, or nothing."""
    found = re.search(r'<section class="remark" aria-labelledby="agreement-title">(.*?)</section>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split()) if found else ""


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every model had been measured so."""
    monkeypatch.setattr(agreement, "repeatability_of", lambda _: Repeatability(0.12, 2.5, 0.05, 383))


@pytest.fixture
def two(anna: TestClient, enter: Callable[..., int]) -> int:
    """A case of two pictures whose answer is in view; what was said is written by the test."""
    case = enter(pictures=(0, 1))
    anna.post(f"/cases/{case}/reading", data=LOW)
    return case


def test_opposite_answers_are_told_with_what_counts_and_how_often_that_is(anna: TestClient, two: int) -> None:
    answers_become(anna, said("low_concern", 0.001), said("refer", 0.6))
    assert remark(anna.get(f"/cases/{two}").text) == (
        f"{TITLE} Picture 1: No suspicious feature. Picture 2: Refer. The more suspicious answer counts. "
        "Measured on 383 lesions, 12 % of the pairs of pictures of one lesion got such opposite answers."
    )
    anna.cookies.set("language", "de")
    assert remark(anna.get(f"/cases/{two}").text) == (
        "Bilder dieser Läsion stimmen nicht überein Bild 1: Kein verdächtiges Merkmal. Bild 2: Überweisen. "
        "Es gilt die bedenklichere Antwort. "
        "Gemessen an 383 Läsionen ergaben 12 % der Bildpaare einer Läsion so gegensätzliche Antworten."
    )


def test_one_answer_and_melanoma_far_apart_is_told_too(anna: TestClient, two: int) -> None:
    answers_become(anna, said("refer", 0.05), said("refer", 0.6))  # log-odds -2.9 and 0.4
    assert remark(anna.get(f"/cases/{two}").text) == (
        f"{TITLE} Picture 1: melanoma in about 5 of 100 such lesions. Picture 2: melanoma in about 60 of 100 such "
        "lesions. The answer is that of the more suspicious picture. "
        "Measured on 383 lesions, 5 % of the pairs of pictures of one lesion lay so far apart."
    )
    answers_become(anna, said("refer", 0.15), said("refer", 0.6))  # log-odds -1.7 and 0.4
    assert remark(anna.get(f"/cases/{two}").text) == ""


def test_what_was_never_measured_is_not_said(anna: TestClient, two: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "repeatability_of", lambda _: None)
    answers_become(anna, said("low_concern", 0.001), said("refer", 0.6))
    text = remark(anna.get(f"/cases/{two}").text)
    assert text.endswith("The more suspicious answer counts.")
    answers_become(anna, said("refer", 0.05), said("refer", 0.99))
    assert remark(anna.get(f"/cases/{two}").text) == ""


def test_a_picture_that_cannot_be_assessed_contradicts_nothing(anna: TestClient, two: int) -> None:
    answers_become(anna, said("low_concern", 0.001), said("cannot_assess", 0.9))
    page = anna.get(f"/cases/{two}").text
    assert remark(page) == ""
    assert "The pictures of this visit got different answers" in page


def test_only_pictures_that_do_not_agree_are_named(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter(pictures=(0, 1, 2))
    anna.post(f"/cases/{case}/reading", data=LOW)
    answers_become(anna, said("refer", 0.5), said("cannot_assess", 0.001), said("low_concern", 0.001))
    text = remark(anna.get(f"/cases/{case}").text)
    assert "Picture 1: Refer. Picture 3: No suspicious feature." in text
    assert "Picture 2" not in text


@pytest.mark.parametrize("mode", ["open", "study", "silent"])
def test_before_the_own_reading_nothing_tells_that_pictures_disagree(
    anna: TestClient, enter: Callable[..., int], mode: str
) -> None:
    case = enter(pictures=(0, 1))
    setting(anna, "mode", mode)
    pages = []
    for told in ((said("low_concern", 0.001), said("refer", 0.6)), (said("refer", 0.6), said("refer", 0.6))):
        answers_become(anna, *told)
        pages.append(anna.get(f"/cases/{case}").text)
        hidden = anna.get(f"/api/v1/cases/{case}/result")
        assert hidden.status_code == 403
        assert "disagreements" not in hidden.text
        assert "agree" not in anna.get(f"/cases/{case}/result.pdf").text
    assert pages[0] == pages[1]
    assert TITLE not in pages[0]


def test_silent_mode_tells_nothing_after_it_either(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter(pictures=(0, 1))
    setting(anna, "mode", "silent")
    answers_become(anna, said("low_concern", 0.001), said("refer", 0.6))
    anna.post(f"/cases/{case}/reading", data=LOW)
    assert TITLE not in anna.get(f"/cases/{case}").text


def add_visit(anna: TestClient, case: int, picture: bytes) -> None:
    files = [("files", ("later.jpg", picture, "image/jpeg"))]
    assert anna.post(f"/cases/{case}/images", files=files, follow_redirects=False).status_code == 303


def test_another_visit_is_compared_once_both_answers_are_in_view(
    anna: TestClient, enter: Callable[..., int], drawn: tuple[bytes, ...]
) -> None:
    case = enter()
    anna.post(f"/cases/{case}/reading", data=LOW)
    add_visit(anna, case, drawn[1])
    answers_become(anna, said("refer", 0.6), said("low_concern", 0.001))
    assert TITLE not in anna.get(f"/cases/{case}").text
    anna.post(f"/cases/{case}/reading", data=LOW)
    text = remark(anna.get(f"/cases/{case}").text)
    assert re.search(r"Picture 1: No suspicious feature\. Picture 1 of \d+ \w+ \d{4}: Refer\.", text)
    assert "the answer is that of the current visit" in text
    found = anna.get(f"/api/v1/cases/{case}/result").json()
    assert [(one["opposed"], one["earlier_visit"]) for one in found["disagreements"]] == [(True, 1)]
    assert found["answer"] == "low_concern"


def test_an_earlier_answer_that_the_reader_may_not_see_stays_unseen(
    anna: TestClient, enter: Callable[..., int], drawn: tuple[bytes, ...]
) -> None:
    """Anna reads the first visit, Ben only the second: to him the first answer is hidden, in a study."""
    case = enter()
    setting(anna, "mode", "study")
    anna.post(f"/cases/{case}/reading", data=LOW)
    add_visit(anna, case, drawn[1])
    answers_become(anna, said("refer", 0.6), said("low_concern", 0.001))
    anna.cookies.set("reader", "Ben")
    anna.post(f"/cases/{case}/reading", data=LOW)
    page = anna.get(f"/cases/{case}").text
    assert "No suspicious feature found by the model" in page
    assert TITLE not in page
    with anna.app.state.service.looking(Person("Ben", "reader")) as desk:  # type: ignore[attr-defined]
        held = cases.get(desk, case)
        answer = answers.answer_of(desk, held)
        assert answer is not None
        assert agreement.disagreements(desk, held, answer) == ()
    anna.cookies.set("reader", "Anna")
    anna.post(f"/cases/{case}/reading", data=LOW)
    assert TITLE in anna.get(f"/cases/{case}").text


def test_the_api_says_which_images_and_what_was_measured(anna: TestClient, two: int) -> None:
    answers_become(anna, said("low_concern", 0.001), said("refer", 0.6))
    found = anna.get(f"/api/v1/cases/{two}/result", headers={"Accept-Language": "en"}).json()
    assert found["differ"] is True
    (one,) = found["disagreements"]
    assert one["images"] == [result["image"] for result in found["results"]]
    assert (one["opposed"], one["earlier_visit"]) == (True, None)
    assert one["sentence"].startswith("Picture 1: No suspicious feature. Picture 2: Refer.")
    assert one["measured"] == {"opposed": 0.12, "coefficient": 2.5, "beyond": 0.05, "lesions": 383}
    answers_become(anna, said("refer", 0.6), said("refer", 0.6))
    assert anna.get(f"/api/v1/cases/{two}/result").json()["disagreements"] == []


def test_what_another_model_or_setting_said_is_not_compared(anna: TestClient, two: int) -> None:
    answers_become(anna, {**said("low_concern", 0.001), "model": "f" * 64}, said("refer", 0.6))
    assert remark(anna.get(f"/cases/{two}").text) == ""
    answers_become(anna, {**said("low_concern", 0.001), "prior": {"MEL": 0.5, "NV": 0.5}}, said("refer", 0.6))
    assert remark(anna.get(f"/cases/{two}").text) == ""


def test_the_paper_says_it_too(anna: TestClient, two: int) -> None:
    answers_become(anna, said("low_concern", 0.001), said("refer", 0.6))
    with anna.app.state.service.looking(Person("Anna", "admin")) as desk:  # type: ignore[attr-defined]
        answer = sheet_of(desk, two).answer
    assert answer is not None
    assert any(line.startswith("Picture 1: No suspicious feature. Picture 2: Refer.") for line in answer.warnings)


def test_what_is_said_in_the_same_words_does_not_disagree(anna: TestClient, two: int) -> None:
    answers_become(anna, said("low_concern", 0.0002), said("low_concern", 0.006))  # log-odds -8.5 and -5.1
    assert remark(anna.get(f"/cases/{two}").text) == ""
    assert anna.get(f"/api/v1/cases/{two}/result").json()["disagreements"] == []
    answers_become(anna, said("low_concern", 0.0002), said("low_concern", 0.02))
    assert "fewer than 1 of 100 such lesions. Picture 2: melanoma in about 2" in remark(anna.get(f"/cases/{two}").text)


def test_a_visit_that_cannot_be_assessed_is_not_said_to_follow_a_picture(
    anna: TestClient, enter: Callable[..., int]
) -> None:
    case = enter(pictures=(0, 1, 2))
    anna.post(f"/cases/{case}/reading", data=LOW)
    answers_become(anna, said("low_concern", 0.001), said("low_concern", 0.03), said("cannot_assess", 0.5))
    found = anna.get(f"/api/v1/cases/{case}/result").json()
    assert found["answer"] == "cannot_assess"
    page = anna.get(f"/cases/{case}").text
    assert "Picture 2: melanoma in about 3" in remark(page)
    assert "The answer is that of" not in remark(page)
    assert "The pictures of this visit got different answers" in page


def test_what_differs_within_the_visit_is_told_beside_an_earlier_one(
    anna: TestClient, enter: Callable[..., int], drawn: tuple[bytes, ...]
) -> None:
    case = enter()
    anna.post(f"/cases/{case}/reading", data=LOW)
    add_visit(anna, case, drawn[1])
    add_visit(anna, case, drawn[2])
    anna.post(f"/cases/{case}/reading", data=LOW)
    answers_become(anna, said("refer", 0.6), said("low_concern", 0.001), said("cannot_assess", 0.001))
    page = anna.get(f"/cases/{case}").text
    assert "the answer is that of the current visit" in remark(page)
    assert "The pictures of this visit got different answers" in page
    with anna.app.state.service.looking(Person("Anna", "admin")) as desk:  # type: ignore[attr-defined]
        answer = sheet_of(desk, case).answer
    assert answer is not None
    assert answer.warnings[0].startswith("The pictures of this visit got different answers")


def test_every_earlier_picture_has_its_own_day(
    anna: TestClient, enter: Callable[..., int], drawn: tuple[bytes, ...]
) -> None:
    case = enter(pictures=(0, 1))
    anna.post(f"/cases/{case}/reading", data=LOW)
    add_visit(anna, case, drawn[2])
    anna.post(f"/cases/{case}/reading", data=LOW)
    answers_become(anna, said("refer", 0.6), said("refer", 0.6), said("low_concern", 0.001))
    with anna.app.state.service.store.begin() as session:  # type: ignore[attr-defined]
        for image, day in zip(session.scalars(select(Image).order_by(Image.id)), (3, 4, 9), strict=True):
            image.captured_on = datetime.date(2026, 3, day)
    text = remark(anna.get(f"/cases/{case}").text)
    assert "Picture 1 of 3 Mar 2026: Refer. Picture 2 of 4 Mar 2026: Refer." in text


def test_the_paper_numbers_pictures_as_the_sentences_do(anna: TestClient, two: int) -> None:
    """The one that decides is printed first, whatever its number."""
    answers_become(anna, said("low_concern", 0.001), said("refer", 0.6))
    with anna.app.state.service.looking(Person("Anna", "admin")) as desk:  # type: ignore[attr-defined]
        first, second = (picture.caption for picture in sheet_of(desk, two).pictures)
    assert first.startswith("Picture 2: ")
    assert first.endswith("This picture alone: Refer.")
    assert second.startswith("Picture 1: ")
