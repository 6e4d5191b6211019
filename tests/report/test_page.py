"""The page: complete alone, numbered, escaped, sane whatever the cases are."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dermoscope.core.cases import Case
from dermoscope.core.probabilities import Probabilities, Scores
from dermoscope.core.taxonomy import ISIC2018, ISIC2019
from dermoscope.core.truth import Truth, with_unknown
from dermoscope.report.dossier import Given, Provenance, as_json, measure
from dermoscope.report.html import NOTICE
from dermoscope.report.page import report_page

pytest.importorskip("matplotlib", reason="matplotlib is not installed: no page can be drawn")

PLAIN = Provenance(
    "A report", "Some images.", "dermoscope report p.csv t.csv", "0.1.0", (("truth", "t.csv", "a" * 64),)
)
VOID = {"meta", "img"}


class Elements(HTMLParser):
    """Elements, closed in order; attributes; and the text outside the style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def of(self, tag, name):
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]


@pytest.fixture(scope="module")
def page(measured, provenance):
    return report_page(measured, provenance)


def test_the_page_needs_nothing_but_itself(page):
    elements = Elements(page)
    assert not {t for t, *_ in elements.attributes} & {"script", "link", "iframe"}
    for tag, name, value in elements.attributes:
        if name in {"src", "href"}:
            assert value.startswith(("data:", "#")), (tag, name, value[:40])
        assert not name.startswith("on")
    assert "default-src 'none'" in elements.of("meta", "content")[1]
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_figures_and_tables_are_numbered_and_captioned(page):
    elements = Elements(page)
    labels = re.findall(r"<figcaption><b>(Figure|Table) (\d+)\.</b> (.)", page)
    for kind in ("Figure", "Table"):
        numbers = [int(n) for k, n, _ in labels if k == kind]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 5
    assert len(labels) == page.count("<figure")
    assert all(elements.of("img", "alt"))
    assert elements.text.count(NOTICE) == 1
    ids = [value for _, name, value in elements.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert all(link[1:] in ids for link in elements.of("a", "href"))


def test_the_page_says_what_was_measured_and_how(page, measured):
    text = Elements(page).text
    for name in ("balanced_accuracy", "accuracy", "macro_average.auc", "MEL.auc"):
        assert measured.served[name].text() in text, name
    for name in ("log_loss", "ece", "ece_if_perfect"):
        assert measured.calibrated[name].text() in text, name
    for words in (
        "Run quick: validation", "240 images of 160 lesions, drawn.", "160 lesions", "30 resamples, seed 0",
        "Of the predictions under the calibration prior.", "By source", "By sex", "By age", "By site", "By image size",
        "against nevi confirmed by histology", "picture not at hand", "1 of 24 pictures are not at hand.",
        "b" * 64, "d" * 64, "5" * 64, "tf_efficientnet_lite0", "8×128, 2×64", "torch 2.13.0", "a" * 64,
        "Wilson 1927", "Guo et al. 2017", "dermoscope report runs/quick --data drawn", "Drawn & <lesions>", "CC0-1.0",
    ):  # fmt: skip
        assert words in text, words
    assert "Drawn & <lesions>" not in page


def test_the_same_input_gives_the_same_page(page, measured, provenance):
    assert report_page(measured, provenance) == page


def test_names_cannot_break_the_page(measured):
    hostile = "<script>alert(1)</script>\u202e&\x00"
    where = replace(PLAIN, title=hostile, lead=hostile, files=(("truth", hostile, hostile),), no_pictures=hostile)
    page = report_page(measured, where)
    assert "<script" not in page
    assert "\u202e" not in page
    assert "alert(1)" in Elements(page).text


def test_without_pictures_and_without_cases_the_page_says_so(make):
    one = make(60)
    bare = measure(Given(one.scores, one.truth, resamples=5))
    where = replace(PLAIN, no_pictures="Without pictures: --data names the data set that holds them.")
    text = Elements(report_page(bare, where)).text
    assert "Without pictures: --data names" in text
    assert "Not measurable: nothing is known of source" in text
    assert "Where these were shifted to another prior" in text
    assert "Nothing is known of how these predictions came about" in text
    assert bare.mistakes.others[0].image in text


def made(labels, values, *, taxonomy=ISIC2018, kind=Scores, **more) -> Given:
    ids = tuple(f"i{k:05d}" for k in range(len(labels)))
    truth = Truth(
        ids, ISIC2019 if len(taxonomy) > 8 else taxonomy, np.array(labels), more.pop("weight", np.ones(len(labels)))
    )
    return Given(kind(ids, taxonomy, np.asarray(values)), truth, resamples=4, **more)


def extremes():
    rng = np.random.default_rng(0)
    even = np.full((30, 7), 1 / 7)
    p = np.exp(rng.normal(size=(30, 7)))
    p /= p.sum(axis=1, keepdims=True)
    some = rng.integers(0, 3, 30)
    return {
        "one class only": made([1] * 30, p, kind=Probabilities),
        "two cases": made([0, 1], p[:2], kind=Probabilities),
        "one case": made([4], p[:1], kind=Probabilities),
        "a class of two": made([0, 0, *[1] * 28], p, kind=Probabilities),
        "no probabilities": made(some, rng.random((30, 7))),
        "all scores equal": made(some, even, kind=Probabilities),
        "all scores 0": made(some, np.zeros((30, 7))),
        "always right": made(some, np.eye(7)[some], kind=Probabilities),
        "none of these": made([-1] * 30, p, kind=Probabilities),
        "a column for unknown": made(some, np.hstack([p, p[:, :2]]) / 2, taxonomy=with_unknown(ISIC2019)),
        "weights": made(some, p, weight=np.where(np.arange(30) < 5, 0.0, 2.5)),
        "one source": made(some, p, cases=[Case(f"i{k:05d}", source="clinic") for k in range(30)]),
        "data of few images": made(some, p, cases=[Case("i00003", sex="male", site="<b>")]),
    }


@pytest.mark.parametrize("case", extremes())
def test_whatever_the_cases_the_page_is_sane(case):
    found = measure(extremes()[case])
    page = report_page(found, PLAIN)
    text = Elements(page).text
    assert not re.search(r"\b(nan|None|inf|Estimate)\b|\{\{", text)
    assert "Figure 1." in text
    as_json(found)
    if case in {"no probabilities", "all scores 0"}:
        assert "Not measurable: rows of the predictions do not sum to 1" in text
    if case == "one class only":
        assert "No curve of MEL, NV, BCC, AKIEC, BKL, DF, VASC" in text
    if case == "always right":
        assert "No answer is wrong." in text


def columns(n: int) -> st.SearchStrategy:
    scores = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=7, max_size=7)
    return st.tuples(st.lists(st.integers(-1, 6), min_size=n, max_size=n), st.lists(scores, min_size=n, max_size=n))


@given(st.integers(1, 12).flatmap(columns))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_few_cases_make_a_page(drawn):
    labels, values = drawn
    Elements(report_page(measure(made(labels, values)), PLAIN))


def test_twenty_thousand_cases_make_a_small_page(make):
    page = report_page(measure(replace(make(20_000), cases=(), resamples=2)), PLAIN)
    assert len(page) < 2_000_000
    assert "13,333 lesions" in Elements(page).text


@pytest.mark.parametrize("width", [1200, 500])
def test_the_page_is_not_wider_than_the_window(width, page, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: the page cannot be laid out")
    # The page forbids scripts, so the measuring frame stands around it.
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    script = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    (tmp_path / "page.html").write_text(free.replace("</body>", script))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom",
               f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "page.html").as_uri()]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    measured = re.search(r"<title>(\d+) of (\d+)</title>", said)
    assert measured is not None
    assert int(measured[1]) <= int(measured[2])
