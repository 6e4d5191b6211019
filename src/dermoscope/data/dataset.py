"""What is said of a public data set: its published files, the layouts that they are found in, its terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dermoscope.core.taxonomy import ISIC2019, Taxonomy
from dermoscope.data.labels import Labels
from dermoscope.data.tables import Table


@dataclass(frozen=True)
class Download:
    """One published file: its path in the bucket and where it goes (`into`), relative to the root.

    A ZIP archive becomes the folder `into`. `roughly` is the size in bytes as the owner's page rounds it, `size` the
    exact one and `digest` a checksum (`sha256:...` or `md5:...`) where they are known; `read_at` says from where.
    """

    path: str
    into: str
    roughly: int
    size: int | None = None
    digest: str = ""
    read_at: str = ""

    @property
    def archive(self) -> bool:
        """Whether it is to be unpacked."""
        return self.path.endswith(".zip")


@dataclass(frozen=True)
class Layout:
    """How the files of a set lie below the root.

    The best copies of the images come first in `folders`; those in `optional` may be absent, but one must be there.
    `tables` tell of the images: the first names them, the others add columns that it lacks, a one-hot table the
    column `dx`. `columns` maps fields to columns, `words` a column's words to those of HAM10000. With `partial` the
    tables also speak of images of other sets. `lacks` says what this layout cannot tell of a case.

    Where the tables speak other words than codes, `labels` maps them and there is no `truth`. With `stacked` the tables
    have the same columns and other rows. `only` names columns and the words whose rows are read. `reader` makes one
    table of files that are none as published; it gets the root and the layout.
    """

    folders: tuple[str, ...]
    truth: str
    tables: tuple[str, ...]
    columns: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    partial: bool = False
    lacks: str = ""
    labels: Labels | None = None
    stacked: bool = False
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reader: Callable[[Path, "Layout"], Table] | None = None

    @property
    def needed(self) -> tuple[str, ...]:
        """The tables that must be there."""
        return (*filter(None, [self.truth]), *self.tables)


@dataclass(frozen=True)
class DataSet:
    """One public data set; the first of its `layouts` that is whole is read.

    `source` names the source of cases whose table has no such column. `holds` names the diagnoses that a source can
    hold, where it cannot hold all. `images`, `lesions` and `patients` are how many the set has as published, 0 where
    that was not read; of a set of kind `mixed` only the dermoscopic images are read. `commercial` says whether the
    licence allows commercial use, None where no licence was found. `downloads` are the files that `dermoscope data
    get` fetches, in this order; `access` says how else the set is had, at `address`. `reader_ran` says on which files
    the reader was ever run. `lacks` says what a model that was trained on it alone has not seen, `weights_licence` the
    terms such a model carries where they are stricter. `groups` names the list beside this module of lesions that show
    one picture under several ids; their images share a lesion id when the set is loaded, so that they get one role.
    """

    name: str
    title: str
    layouts: tuple[Layout, ...]
    source: str
    licence: str
    commercial: bool | None
    citation: str
    images: int
    reader_ran: str
    lesions: int = 0
    patients: int = 0
    kind: str = "dermoscopic"
    address: str = ""
    access: str = "open download"
    downloads: tuple[Download, ...] = ()
    taxonomy: Taxonomy = ISIC2019
    holds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    weights_licence: str = ""
    groups: str = ""
    read_at: Mapping[str, str] = field(default_factory=dict)

    @property
    def download_bytes(self) -> int:
        """What `dermoscope data get` fetches in all, exact where that is known."""
        return sum(d.size or d.roughly for d in self.downloads)
