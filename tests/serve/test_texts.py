"""The catalogue: every text in both languages, none missing, none left over."""

import datetime
import re
import string
from pathlib import Path

import pytest

from dermoscope.core.prediction import CAUSES
from dermoscope.core.taxonomy import TAXONOMIES
from dermoscope.refine.decision import INTAKE
from dermoscope.refine.prevalence import SITES
from dermoscope.serve import texts
from dermoscope.serve.cases import BODY_SITES
from dermoscope.serve.readings import DECISIONS
from dermoscope.serve.site import MODES, ORDERS
from dermoscope.serve.texts import Texts, catalogue
from dermoscope.serve.trail import VERBS

SERVE = Path(texts.__file__).parent
SOURCE = [*SERVE.rglob("*.py"), *SERVE.rglob("*.j2"), *(SERVE.parent / "report").rglob("case.*")]
WRITTEN = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE)
FORMS = {"en", "de", "en_one", "de_one"}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", sorted(catalogue()))
def test_a_text_is_there_in_both_languages_with_the_same_fields(key: str) -> None:
    entry = catalogue()[key]
    assert {"en", "de"} <= set(entry) <= FORMS
    assert all(text.strip() == text != "" for text in entry.values())
    assert fields(entry["en"]) == fields(entry["de"])
    assert ("en_one" in entry) == ("de_one" in entry)


def test_every_key_that_is_asked_for_exists() -> None:
    asked = set(re.findall(r"""\bt\(\s*["']([a-z_]+\.[a-z_0-9.]+)["']\s*[,)]""", WRITTEN))
    chosen = re.findall(
        r"""\bt\(\s*"([a-z_]+\.[a-z_0-9.]+)" if [^"]*?(?:"[^"]*")?[^"]*? else "([a-z_]+\.[a-z_0-9.]+)\"""", WRITTEN
    )
    assert len(asked) > 100
    assert (asked | {key for pair in chosen for key in pair}) - set(catalogue()) == set()


def test_no_text_is_left_over() -> None:
    built = set(re.findall(r"""["']([a-z_]+)\.(?:[a-z_]*)["'] ~|t\(f["']([a-z_]+)\.""", WRITTEN))
    named = set(re.findall(r"""named\(["']([a-z_]+)["']""", WRITTEN)) | {
        part for pair in built for part in pair if part
    }
    literal = {key for key in catalogue() if f'"{key}"' in WRITTEN or f"'{key}'" in WRITTEN}
    left = [key for key in catalogue() if key not in literal and key.split(".")[0] not in named]
    assert left == []


@pytest.mark.parametrize(
    ("part", "codes"),
    [
        ("cause", tuple(CAUSES)),
        ("intake", INTAKE),
        ("body_site", BODY_SITES),
        ("decision", DECISIONS),
        ("answer", DECISIONS),
        ("answer_short", DECISIONS),
        ("answer_then", DECISIONS),
        ("prevalence", (*SITES, "own")),
        ("mode", MODES),
        ("order", ORDERS),
        ("verb", VERBS),
        ("diagnosis", (*{code for t in TAXONOMIES.values() for code in t.codes}, "other")),
        ("group", ("malignant", "premalignant", "benign")),
        ("kind", ("dermoscopic", "overview")),
    ],
)
def test_every_code_has_a_name(part: str, codes: tuple[str, ...]) -> None:
    assert [code for code in codes if f"{part}.{code}" not in catalogue()] == []


def test_a_text_is_filled_in_as_its_language_writes_it() -> None:
    en, de = Texts.load("en"), Texts.load("de")
    assert en("new.unreadable", n=1) == "One file cannot be taken"
    assert de("new.unreadable", n=1200) == "1.200 Dateien können nicht angenommen werden"
    assert en.named("diagnosis", "XYZ") == "XYZ"
    assert en.named("diagnosis", None) == "–"
    assert (en.number(1234.5), de.number(1234.5)) == ("1,234.5", "1.234,5")
    assert [en.percent(x) for x in (0.0, 0.004, 0.62, 0.999, 1.0)] == ["0 %", "< 1 %", "62 %", "> 99 %", "100 %"]
    day = datetime.date(2026, 3, 5)
    assert (en.date(day), de.date(day), en.date(None)) == ("5 Mar 2026", "05.03.2026", "–")
    assert re.fullmatch(r"0[45]\.03\.2026, \d\d:\d\d", de.moment(datetime.datetime(2026, 3, 5, tzinfo=datetime.UTC)))
    with pytest.raises(KeyError):
        en("no.such_text")
