"""The result page: what it says, that it holds together alone, and that no file name can break it."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.prediction import Answer
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.synthetic import draw
from dermoscope.report.html import NOTICE, Listing, PageItem, percent, result_page

PICTURE = draw(1, "NV", (96, 72)).jpeg()
NAMES = {d.code: d for d in ISIC2019.diagnoses}
MODEL = {"Model": "default", "SHA-256": "ab" * 32, "Prior": "uniform"}
REFER = Answer("refer", ("melanoma cannot be ruled out",))


def item(image: str = "lesion", answer: Answer = REFER, **changes: object) -> PageItem:
    shares = (0.62, 0.3, 0.0796, 0.0002, 0.0001, 0.00005, 0.00004, 0.00001)
    ranked = tuple((d.code, d.name, d.group, p) for d, p in zip(ISIC2019.diagnoses, shares, strict=True))
    return PageItem(image, PICTURE, ranked, answer, **changes)  # type: ignore[arg-type]


class Elements(HTMLParser):
    """Counts elements, checks that they are closed, and collects attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_says_what_was_found_in_words_and_figures() -> None:
    items = [
        item("one", truth="melanoma", attribution="Hospital, CC-0"),
        item("two", Answer("low_concern", ("no suspicious feature found",)), warnings=("only 90 px",)),
        item("three", Answer("cannot_assess", ("too blurred",))),
    ]
    page = Elements(result_page(items, title="Three lesions", model=MODEL, lead="From a folder."))
    assert page.open == []
    for words in (
        "Three lesions", "From a folder.", "3 images read", "1 refer", "1 low concern", "1 cannot be assessed",
        "melanoma cannot be ruled out", "no suspicious feature found", "too blurred", "only 90 px", "62 %", "8.0 %",
        "< 0.1 %", "Stated diagnosis: melanoma", "Hospital, CC-0", "Model default", "ab" * 32, "Prior uniform",
    ):  # fmt: skip
        assert words in page.text, words
    assert page.text.count(NOTICE) == 1
    assert "Synthetic" not in page.text
    assert "Could not be read" not in page.text
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert alts[0] == "Dermoscopic image one: Refer; most probable melanoma, 62 %"
    assert len(alts) == 3


def test_a_synthetic_picture_is_labelled_on_the_picture_and_in_its_description() -> None:
    page = Elements(result_page([item(synthetic=True, truth="nevus")], title="t", model=MODEL))
    assert ("span", "class", "synthetic") in page.attributes
    assert "Drawn as: nevus" in page.text
    assert any(value.startswith("Synthetic picture lesion") for _, name, value in page.attributes if name == "alt")


def test_failures_stand_at_the_end_and_in_the_summary() -> None:
    page = Elements(result_page([], title="t", model=MODEL, failures=[("a.jpg", "a.jpg: cut off"), ("b", "empty")]))
    assert "0 images read 2 could not be read" in page.text
    assert "a.jpg a.jpg: cut off b empty" in page.text
    assert ("a", "href", "#failures") in page.attributes
    assert ("section", "id", "failures") in page.attributes


def test_an_extract_says_how_many_there_are_and_where() -> None:
    listing = Listing("predictions.csv", {"refer": 400, "low_concern": 2350})
    page = Elements(result_page([item()] * 2, title="t", model=MODEL, listing=listing))
    assert "The 2 images of most concern are shown here; all 2,750 are listed in predictions.csv" in page.text
    assert "2,750 images read 400 refer 2,350 low concern" in page.text
    whole = Elements(result_page([item()], title="t", model=MODEL, listing=Listing("p.csv")))
    assert "The same figures, unrounded, stand in p.csv" in whole.text
    assert "1 image read" in whole.text


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; background:url(//evil.example/x); '",
    "{{ 7 * 7 }}{% raw %}",
    "</style></title><script>",
    "javascript:alert(1)",
    "evil\u202egpj.exe\x00\x1b[31m",
    "caf\udce9.jpg",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_ever_text(name: str) -> None:
    hostile = item(name, Answer("refer", (name,)), warnings=(name,), attribution=name, truth=name)
    page = result_page(
        [hostile], title=name, model={name: name}, failures=[(name, name)], lead=name, listing=Listing(name)
    )
    page.encode("utf-8")
    harmless = result_page(
        [item("x", Answer("refer", ("x",)), warnings=("x",), attribution="x", truth="x")],
        title="x", model={"x": "x"}, failures=[("x", "x")], lead="x", listing=Listing("x"),
    )  # fmt: skip
    parsed, plain = Elements(page), Elements(harmless)
    assert parsed.tags == plain.tags
    assert [(t, n) for t, n, _ in parsed.attributes] == [(t, n) for t, n, _ in plain.attributes]
    assert not re.search("[\x00\x1b\u202e\ud800-\udfff]", page)
    assert "49" not in parsed.text


def test_the_page_asks_nothing_of_another_host_and_runs_no_script() -> None:
    page = Elements(result_page([item()], title="t", model=MODEL, listing=Listing("predictions.csv")))
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(page.tags)
    targets = [value for _, name, value in page.attributes if name in {"src", "href", "srcset", "action"}]
    assert all(t.startswith(("data:image/jpeg;base64,", "#")) or t == "predictions.csv" for t in targets)
    policy = next(v for t, n, v in page.attributes if t == "meta" and n == "content" and "default-src" in v)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_thousands_of_images_stay_quick_and_in_proportion() -> None:
    page = result_page([item(f"n{k}") for k in range(3000)], title="t", model=MODEL)
    assert page.count("<article") == 3000
    assert len(page) < 3000 * (4 * len(PICTURE) / 3 + 4500) + 30_000


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "< 0.1 %"),
        (1e-300, "< 0.1 %"),
        (0.00099, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.034, "3.4 %"),
        (0.0994, "9.9 %"),
        (0.0996, "10 %"),
        (0.62, "62 %"),
        (0.9949, "99 %"),
        (0.996, "99.6 %"),
        (0.9991, "> 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_a_probability_never_reads_as_more_certain_than_it_is(probability: float, shown: str) -> None:
    assert percent(probability) == shown


@pytest.mark.parametrize(
    ("picture", "ranked", "words"),
    [
        (b"\x89PNG", (("NV", "nevus", "benign", 1.0),), "is not a JPEG"),
        (PICTURE, (), "at least one"),
        (PICTURE, (("NV", "nevus", "benign", 1.2),), r"in \[0, 1\]"),
        (PICTURE, (("NV", "nevus", "benign", float("nan")),), r"in \[0, 1\]"),
    ],
)
def test_an_item_that_cannot_be_shown_is_refused(picture: bytes, ranked: tuple, words: str) -> None:
    with pytest.raises(ValueRuleError, match=f"lesion: .*{words}"):
        PageItem("lesion", picture, ranked, REFER)


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page is not rendered in a real browser")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_real_browser_shows_every_picture_and_needs_no_sideways_scrolling(tmp_path: Path, width: int) -> None:
    items = [item("x" * 300), item(HOSTILE[0], synthetic=True), item(HOSTILE[1], warnings=("w" * 200,))]
    page = result_page(items, title="A" * 120, model=MODEL, failures=[("f" * 200, "m" * 300)])
    # Asking the browser takes a script, and the page allows none: the copy that is measured has a wider policy.
    probe = (
        "<script>onload=()=>{document.title=[...document.images].filter(i=>i.naturalWidth==96).length"
        "+' '+(document.documentElement.scrollWidth<=innerWidth)+' '+(window.alerted||0)}</script></body>"
    )
    page = page.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    page = page.replace("</body>", probe).replace("alert(1)", "alerted=1")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    frame = f'<iframe style="width:{width}px;height:900px" src="page.html"></iframe><script>onmessage=0</script>'
    (tmp_path / "frame.html").write_text(
        frame + "<script>onload=()=>{document.body.append(frames[0].document.title)}</script>"
    )
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--allow-file-access-from-files"]
    command += ["--virtual-time-budget=3000", "--dump-dom", (tmp_path / "frame.html").as_uri()]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "3 true 0" in seen, seen
