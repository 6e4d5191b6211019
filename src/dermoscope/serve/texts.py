"""Every sentence that a reader of the pages sees, in English and German: one catalogue, a file for each part of it.

A text stands in `catalogue/PART.toml` as `[part.key]` with `en` and `de`; `{name}` is filled in by the caller, and
`en_one`, `de_one` are for a count `n` of one.
"""

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from dermoscope.serve.accounts import Language

Entry = Mapping[str, str]


@cache
def catalogue() -> Mapping[str, Entry]:
    """All texts: `part.key` to language to text. Raises ValueError where two files hold the same key."""
    found: dict[str, Entry] = {}
    folder = files("dermoscope.serve") / "catalogue"
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if not file.name.endswith(".toml"):
            continue
        parts = tomllib.loads(file.read_text(encoding="utf-8"))
        entries = {f"{part}.{key}": entry for part, keys in parts.items() for key, entry in _flat(keys)}
        twice = found.keys() & entries.keys()
        if twice:
            raise ValueError(f"{file.name}: {sorted(twice)} stand in another file of the catalogue already")
        found |= entries
    return found


def _flat(keys: Mapping[str, object], before: str = "") -> list[tuple[str, Entry]]:
    """Keys may hold dots (`cause.intake.nail`), which TOML reads as tables."""
    found: list[tuple[str, Entry]] = []
    for key, value in keys.items():
        if not isinstance(value, dict):
            raise ValueError(f"{before}{key}: a text without a language")
        if "en" in value:
            found.append((before + key, value))
        else:
            found += _flat(value, f"{before}{key}.")
    return found


@dataclass(frozen=True)
class Texts:
    """The catalogue in one language. Called with a key it gives the text."""

    language: Language

    @classmethod
    def load(cls, language: Language = "en") -> "Texts":
        """The texts of a language."""
        return cls(language)

    def __call__(self, key: str, **values: object) -> str:
        """A text with its values filled in; a value `n` of 1 chooses the singular. Raises KeyError for no such key."""
        entry = catalogue()[key]
        one = f"{self.language}_one"
        text = entry[one] if values.get("n") == 1 and one in entry else entry[self.language]
        shown = {name: self.number(v, 0) if type(v) is int else v for name, v in values.items()}
        return text.format(**shown) if values else text

    def named(self, part: str, code: str | None) -> str:
        """The name of a code, or the code itself where none is written: stored records may be older than the texts."""
        if code is None:
            return "–"
        entry = catalogue().get(f"{part}.{code}")
        return code if entry is None else entry[self.language]

    def number(self, value: float, digits: int = 1) -> str:
        """A figure as the language writes it.

        >>> Texts("de").number(1234.5), Texts("en").number(1234.5)
        ('1.234,5', '1,234.5')
        """
        text = f"{value:,.{digits}f}"
        return text if self.language == "en" else text.translate(str.maketrans(",.", ".,"))

    def percent(self, share: float) -> str:
        """Whole per cent, never 0 or 100 unless it is.

        >>> Texts("en").percent(0.004), Texts("de").percent(0.62), Texts("en").percent(0.999)
        ('< 1 %', '62 %', '> 99 %')
        """
        if 0 < share < 0.01:
            return "< 1 %"
        return "> 99 %" if 0.99 < share < 1 else f"{share:.0%}".replace("%", " %")

    def date(self, day: datetime.date | None) -> str:
        """A day.

        >>> Texts("en").date(datetime.date(2026, 3, 5)), Texts("de").date(datetime.date(2026, 3, 5))
        ('5 Mar 2026', '05.03.2026')
        """
        if day is None:
            return "–"
        return day.strftime("%d.%m.%Y") if self.language == "de" else f"{day.day} {_MONTHS[day.month - 1]} {day.year}"

    def moment(self, when: datetime.datetime | None) -> str:
        """A day and the time of it, where the service runs."""
        if when is None:
            return "–"
        here = when.astimezone()
        return f"{self.date(here.date())}, {here:%H:%M}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
