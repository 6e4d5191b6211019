"""What every page of the frame holds to: both languages, one heading, whole references, nothing from elsewhere."""

import itertools
import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from people import People
    from starlette.testclient import TestClient

    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
HEADINGS = {
    "/": ("Worklist", "Arbeitsliste"),
    "/batches": ("Batches", "Stapel"),
    "/settings": ("Settings", "Einstellungen"),
    "/silent": ("Answers and histology", "Antworten und Histologie"),
    "/model": ("The model", "Das Modell"),
    "/history": ("History and export", "Verlauf und Export"),
    "/about": ("About this service", "Über diesen Dienst"),
    "/enter": ("Who is reading?", "Wer befundet?"),
    "/nowhere": ("Nothing here", "Hier ist nichts"),
}


@pytest.mark.parametrize("language", ["en", "de"])
def test_pages_are_whole_in_both_languages(
    reader: "TestClient", service: "Service", write_cases: Callable, close_case: Callable, language: str
) -> None:
    ids = write_cases(service, 4, reader="R7")
    close_case(service, ids[0], "MEL")
    close_case(service, ids[1], "other")
    reader.cookies.set("language", language)
    for path, headings in HEADINGS.items():
        said = reader.get(path)
        assert said.status_code == (404 if path == "/nowhere" else 200), path
        check_page(said.text, path, language, headings[language == "de"])


def check_page(page: str, path: str, language: str, heading: str) -> None:
    assert f'<html lang="{language}"' in page, path
    assert [re.sub(r"\s+", " ", h) for h in re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)] == [heading], path
    ids = Counter(re.findall(r'\sid="([^"]+)"', page))
    assert max(ids.values()) == 1, f"{path}: {ids.most_common(2)}"
    for name in ("for", "aria-describedby", "aria-labelledby", "data-opens"):
        for target in re.findall(rf'\s{name}="([^"]+)"', page):
            assert target in ids, f"{path}: {name} of {target}"
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:", page), f"{path}: the policy refuses it"
    assert all(script.startswith(' src="/static/') for script in re.findall(r"<script([^>]*)>", page)), path
    assert not re.findall(r'(?:src|href|action|hx-\w+)="(?:https?:)?//', page), f"{path}: another host"
    levels = [int(level) for level in re.findall(r"<h([1-6])", page.partition("<main")[2].partition("</main>")[0])]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), f"{path}: headings {levels}"


def test_the_language_is_chosen_and_kept(client: "TestClient") -> None:
    client.cookies.set("reader", "R7")
    assert '<html lang="de"' in client.get("/about", headers={"Accept-Language": "de-AT,en;q=0.5"}).text
    assert '<html lang="en"' in client.get("/about", headers={"Accept-Language": "fr"}).text
    chosen = client.post("/preferences", data={"language": "de", "back": "/about"})
    assert chosen.url.path == "/about"
    assert '<html lang="de"' in client.get("/", headers={"Accept-Language": "en"}).text


def test_about_says_what_applies_and_is_open_to_everybody(enter: Callable, people: "People", words: Callable) -> None:
    nobody = people.client()
    nobody.cookies.set("language", "en")
    said = nobody.get("/about")
    assert said.status_code == 200
    assert "no CE mark" in words(said.text)
    assert "As it is set" not in words(said.text), "how it is set is for those who have entered"
    known = words(enter("reader", "Ben").get("/about").text)
    assert "Mode Silent Reading order Reader first" in known
    assert "Ben (reader)" in known
    assert "Nothing is sent to any other host." in known
