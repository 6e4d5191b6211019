"""Every page in both languages: it renders, in that language, and holds nothing that the browser is told to refuse."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
PAGES = ("/", "/?tab=all", "/cases/new", "/cases/1", "/cases/1/images", "/cases/1/facts", "/cases/2", "/batches")
MORE = ("/history", "/silent", "/model", "/settings", "/about", "/enter", "/cases/77")
FRAGMENT = "/cases/2/what-if?setting=skin_cancer_clinic"
VOID = {"meta", "link", "input", "img", "br", "hr"}
ENGLISH = re.compile(r"\b(the|your|with|picture|reading)\b", re.IGNORECASE)


class Words(HTMLParser):
    """The words of a page that do not stand in an element marked as English."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append((tag, ("lang", "en") in attrs))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(english for _, english in self.open):
            self.words.append(data)


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_page_renders(anna: TestClient, enter: Callable[..., int], language: str) -> None:
    anna.cookies.set("language", language)
    enter("P1")
    enter("P2", (1, 2))
    anna.post("/cases/2/reading", data={"decision": "refer", "diagnosis": "MEL"})
    for place in (*PAGES, *MORE, FRAGMENT):
        answer = anna.get(place)
        assert answer.status_code == (404 if place == "/cases/77" else 200), place
        if place != FRAGMENT:
            assert f'<html lang="{language}"' in answer.text, place
            assert answer.text.count("<h1") == 1, place
        assert not re.search(
            r"\sstyle=|<style|\son[a-z]+=\"|<script(?![^>]* src=\"/static/)|javascript:", answer.text
        ), place
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", answer.text), place
        assert "{{" not in answer.text
        assert not re.search(r"\{[a-z_]+\}", re.sub(r"<meta[^>]*>|\sdata-[a-z-]+=\"[^\"]*\"", "", answer.text)), place
        if language == "de":
            assert ENGLISH.findall(" ".join(Words(answer.text).words)) == [], place


def test_a_hostile_pseudonym_stays_text(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter("<script>alert(1)</script>", lesion='"><img src=x>')
    for place in ("/", f"/cases/{case}", f"/cases/{case}/images"):
        assert "<script>alert" not in anna.get(place).text
        assert "<img src=x" not in anna.get(place).text
