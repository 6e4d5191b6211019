"""What `dermoscope data list` and `doctor` say of the data sets: known facts, and what lies here."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermoscope.data.acquire import fetched_bytes
from dermoscope.data.catalog import storage, whereabouts
from dermoscope.data.dataset import DataSet
from dermoscope.data.fetch import readable
from dermoscope.data.images import SUFFIXES
from dermoscope.data.labels import debatable


@dataclass(frozen=True)
class Listing:
    """One entry of the catalog and its state: `here`, `begun` (some files are there) or `absent`."""

    entry: DataSet
    root: Path
    state: str
    folders: tuple[Path, ...]
    fetched: int

    @property
    def command(self) -> str:
        """The command that fetches the set; empty where none does."""
        return f"dermoscope data get {self.entry.name}" if self.entry.downloads else ""

    @property
    def use(self) -> str:
        """Whether the licence allows commercial use, in words."""
        return {None: "commercial use not known", False: "no commercial use", True: "commercial use allowed"}[
            self.entry.commercial
        ]

    @property
    def where(self) -> str:
        """The state in words."""
        if self.state == "here":
            return "here"
        return f"begun: {readable(self.fetched)} of {self.size}" if self.state == "begun" else "not here"

    @property
    def size(self) -> str:
        """What is fetched in all, in words; empty where nothing can be."""
        return readable(self.entry.download_bytes) if self.entry.downloads else ""

    @property
    def count(self) -> str:
        """How many images the set has, in words."""
        return f"{self.entry.images:,}" if self.entry.images else "?"

    def as_dict(self) -> dict[str, Any]:
        """The listing as JSON has it; what is not known is null."""
        entry = self.entry
        return {
            "name": entry.name,
            "title": entry.title,
            "kind": entry.kind,
            "images": entry.images or None,
            "lesions": entry.lesions or None,
            "patients": entry.patients or None,
            "bytes_to_fetch": entry.download_bytes or None,
            "licence": entry.licence,
            "commercial_use": entry.commercial,
            "access": entry.access,
            "address": entry.address,
            "command": self.command or None,
            "state": self.state,
            "root": str(self.root),
            "folders": [str(folder) for folder in self.folders],
            "reader_ran_on": entry.reader_ran,
            "citation": entry.citation,
            "read_at": dict(entry.read_at),
        }


def details(one: Listing) -> dict[str, Any]:
    """What `dermoscope data show` adds: where the files go, columns, what is held, words and debatable choices."""
    entry = one.entry
    distinct = list({id(lay.labels): lay.labels for lay in entry.layouts if lay.labels}.values())
    return {
        "taxonomy": entry.taxonomy.name,
        "holds": {source: sorted(codes, key=entry.taxonomy.index) for source, codes in entry.holds.items()},
        "layouts": [
            {
                "folders": list(lay.folders),
                "tables": list(lay.needed),
                "columns": dict(lay.columns),
                "only": {column: list(words) for column, words in lay.only.items()},
                "lacks": lay.lacks,
            }
            for lay in entry.layouts
        ],
        "words": [{code: list(words) for code, words in m.words.items()} for m in distinct],
        "other_words": [m.otherwise or None for m in distinct],
        "debatable": [{"words": list(c.words), "code": c.code, "why": c.why} for m in distinct for c in debatable(m)],
    }


def listing(entry: DataSet, root: Path | None = None) -> Listing:
    """The state of a set below `root` (default: where data sets are kept), as far as folders and tables show."""
    base = storage(root)
    found = whereabouts(entry, base)
    begun = any(fetched_bytes(download, base) for download in entry.downloads if download.archive)
    here = found.layout is not None and any(_has_image(folder) for folder in found.folders)
    state = "here" if here else "begun" if begun else "absent"
    fetched = sum(fetched_bytes(download, base) for download in entry.downloads)
    return Listing(entry, base, state, found.folders if here else (), fetched)


def _has_image(folder: Path) -> bool:
    """Whether any image lies in a folder or below it."""
    return any(Path(name).suffix.lower() in SUFFIXES for _, _, files in os.walk(folder) for name in files)
