"""Public data sets as values: where their files lie, how their tables speak, what may be done with them.

Files are looked for under `$DERMOSCOPE_DATA` (or `root`), in one folder for each set. An address, count or licence
stands here only with where it was read (`read_at`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError, some
from dermoscope.core.taxonomy import ISIC2019, Taxonomy
from dermoscope.data.join import Files, Wording, join
from dermoscope.data.tables import read_table

ROOT_VARIABLE = "DERMOSCOPE_DATA"


@dataclass(frozen=True)
class DataSet:
    """One public data set.

    `folders`, `truth` and `metadata` are relative to the root; the best copies of the images come first, and folders
    in `optional` may be absent. `columns` maps fields to columns of `metadata`. `source` names the source of cases
    whose table has no such column. `holds` names the diagnoses that a source can hold, where it cannot hold all. With
    `partial` the tables also speak of images of other sets. `images` is how many labelled images the set has.
    `lacks` says what a model that was trained on it alone has not seen, `weights_licence` the terms such a model
    carries where they are stricter. `read_at` says, for each statement, where it was read.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    truth: str
    metadata: str
    columns: Mapping[str, str]
    source: str
    licence: str
    citation: str
    images: int
    taxonomy: Taxonomy = ISIC2019
    optional: frozenset[str] = frozenset()
    holds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    partial: bool = False
    lacks: tuple[str, ...] = ()
    weights_licence: str = ""
    read_at: Mapping[str, str] = field(default_factory=dict)


_ISIC2019_COLUMNS = {
    "image": "image",
    "age": "age_approx",
    "site": "anatom_site_general",
    "lesion": "lesion_id",
    "sex": "sex",
}
_ISIC2019_TRUTH = "isic2019/ISIC_2019_Training_GroundTruth.csv"
_ISIC2019_METADATA = "isic2019/ISIC_2019_Training_Metadata.csv"

HAM10000 = DataSet(
    name="ham10000",
    title="HAM10000: 10,015 dermatoscopic images of 7,470 lesions, Vienna and Queensland",
    folders=("ham10000-224", "ham10000"),
    optional=frozenset({"ham10000-224"}),
    truth=_ISIC2019_TRUTH,
    metadata="ham10000/HAM10000_metadata.csv",
    columns={
        "image": "image_id",
        "diagnosis": "dx",
        "lesion": "lesion_id",
        "age": "age",
        "sex": "sex",
        "site": "localization",
        "source": "dataset",
        "confirmed_by": "dx_type",
    },
    source="ham10000",
    licence="CC BY-NC 4.0 (CC BY-NC-SA 4.0 in some deposits)",
    citation=(
        "Tschandl P, Rosendahl C, Kittler H. The HAM10000 dataset, a large collection of multi-source dermatoscopic "
        "images of common pigmented skin lesions. Sci Data 5, 180161 (2018). doi:10.1038/sdata.2018.161; "
        "data doi:10.7910/DVN/DBW86T. Eight-class labels: ISIC 2019 challenge (CC BY-NC 4.0)."
    ),
    images=10_015,
    weights_licence="CC BY-NC-SA 4.0",
    lacks=(
        "invasive squamous cell carcinoma (its SCC is in situ)",
        "nodular or amelanotic melanoma",
        "lesions of nail and mucosa",
        "dark skin (Fitzpatrick V and VI), but for a few",
        "diagnoses beyond the eight of ISIC 2019",
    ),
    read_at={
        "columns": "header of HAM10000_metadata.csv",
        "images": "rows of HAM10000_metadata.csv",
        "licence": "terms beside the files used in development; Dataverse doi:10.7910/DVN/DBW86T is the owner's page",
        "citation": "Sci Data 5, 180161",
    },
)

ISIC2017 = DataSet(
    name="isic2017",
    title="ISIC 2017 challenge: 2,745 dermoscopic images of other clinics, melanoma, nevus and benign keratosis only",
    folders=("isic2017",),
    truth=_ISIC2019_TRUTH,
    metadata=_ISIC2019_METADATA,
    columns=_ISIC2019_COLUMNS,
    source="isic2017",
    licence="CC0-1.0 (images), CC BY-NC 4.0 (labels, from ISIC 2019)",
    citation=(
        "Codella NCF, Gutman D, Celebi ME, et al. Skin Lesion Analysis Toward Melanoma Detection: A Challenge at the "
        "2017 International Symposium on Biomedical Imaging (ISBI), hosted by the International Skin Imaging "
        "Collaboration (ISIC). arXiv:1710.05006."
    ),
    images=2_745,
    holds={"isic2017": frozenset({"MEL", "NV", "BKL"})},
    partial=True,
    read_at={
        "columns": "header of ISIC_2019_Training_Metadata.csv",
        "holds": "arXiv:1710.05006, section on part 3 (melanoma, seborrheic keratosis, benign nevus)",
        "images": "ids of the image files found in ISIC_2019_Training_GroundTruth.csv",
        "licence": "terms beside the files used in development",
        "citation": "arXiv:1710.05006",
    },
)

ISIC2019_SET = DataSet(
    name="isic2019",
    title="ISIC 2019 challenge, training: 25,331 dermoscopic images of HAM10000, BCN20000 and MSK",
    folders=("isic2019",),
    truth=_ISIC2019_TRUTH,
    metadata=_ISIC2019_METADATA,
    columns=_ISIC2019_COLUMNS,
    source="isic2019",
    licence="CC BY-NC 4.0",
    citation=(
        "Tschandl P et al. Sci Data 5, 180161 (2018); Codella NCF et al. arXiv:1710.05006; Combalia M et al. "
        "BCN20000: Dermoscopic Lesions in the Wild. arXiv:1908.02288."
    ),
    images=25_331,
    read_at={
        "columns": "header of ISIC_2019_Training_Metadata.csv",
        "images": "rows of ISIC_2019_Training_GroundTruth.csv",
        "licence": "terms beside the files used in development",
        "citation": "attribution asked for by the challenge of its users",
    },
)

CATALOG: Mapping[str, DataSet] = MappingProxyType({d.name: d for d in (HAM10000, ISIC2017, ISIC2019_SET)})


def load(name: str, root: Path | str | None = None) -> CaseSet:
    """The labelled cases of a public data set, in the order of its table; no image is opened.

    `root` (default `$DERMOSCOPE_DATA`) holds the set's folders. `ham10000` has eight classes (ISIC 2019), `source` its
    `dataset` column, `confirmed_by` its `dx_type`, `diagnosis_original` its `dx`; `path` is the copy in `ham10000-224`
    (224 px, centre square) where there is one, and `copies` the others.

    Raises InputError for an unknown name, a root that is unset, or files that are missing; else as `data.readers`.
    """
    entry = CATALOG.get(name)
    if entry is None:
        raise InputError(f"no data set {name!r} in the catalog; it has {', '.join(CATALOG)}")
    base = data_root(root)
    folders = tuple(base / f for f in entry.folders if f not in entry.optional or (base / f).is_dir())
    absent = [str(f) for f in folders if not f.is_dir()]
    absent += [str(base / t) for t in (entry.truth, entry.metadata) if not (base / t).is_file()]
    if absent:
        raise InputError(f"data set {name}: {some(absent)} missing; put the published files there ({entry.citation})")
    files = Files(folders, read_table(base / entry.truth), read_table(base / entry.metadata), entry.partial)
    cases = join(files, Wording(entry.columns, {}, entry.taxonomy))
    told = (replace(c, source=c.source or entry.source, licence=entry.licence) for c in cases)
    return CaseSet(tuple(told), cases.taxonomy, entry.holds)


def open_cases(name_or_path: str) -> tuple[CaseSet, Mapping[str, str]]:
    """Cases of a data set by its name here or by a path (see `data.readers`), and what a model card says of it.

    The second value has `name`, and of a data set here `licence`, `citation` and, joined by semicolons, `lacks`.
    Raises InputError as `load` and `read_cases` do.
    """
    entry = CATALOG.get(name_or_path)
    if entry is not None:
        said = {"name": entry.title, "licence": entry.licence, "citation": entry.citation}
        more = {"lacks": "; ".join(entry.lacks), "weights_licence": entry.weights_licence}
        return load(name_or_path), said | {key: text for key, text in more.items() if text}
    if not Path(name_or_path).exists():
        raise InputError(f"no data set and no path {name_or_path!r}; the catalog has {', '.join(CATALOG)}")
    from dermoscope.data.readers import read_cases

    return read_cases(name_or_path), {"name": Path(name_or_path).name}


def data_root(root: Path | str | None = None) -> Path:
    """The folder of the data sets: `root`, else `$DERMOSCOPE_DATA`. Raises InputError when there is none."""
    chosen = root or os.environ.get(ROOT_VARIABLE)
    if not chosen:
        raise InputError(f"set {ROOT_VARIABLE} to the folder that holds {', '.join(CATALOG)}, or give it as root")
    if not Path(chosen).is_dir():
        raise InputError(f"{chosen}: not a folder; set {ROOT_VARIABLE} to the one that holds {', '.join(CATALOG)}")
    return Path(chosen)
