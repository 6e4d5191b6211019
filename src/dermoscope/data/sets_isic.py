"""The challenges of ISIC 2017 to 2019 and HAM10000, which `dermoscope data get` fetches.

An address, size, checksum, count or licence stands here only with where it was read (`read_at`). Addresses, rounded
sizes and licences: the owner's own page, https://challenge.isic-archive.com/data/, in the source that makes it,
https://github.com/ImageMarkup/stade (`stade/core/templates/data/2017.html`, `2018.html`, `2019.html`).
"""

from collections.abc import Mapping

from dermoscope.core.taxonomy import ISIC2018
from dermoscope.data.dataset import DataSet, Download, Layout

BUCKETS = ("https://isic-challenge-data.s3.amazonaws.com", "https://isic-archive.s3.amazonaws.com/challenges")
"""Where the challenges' files lie, tried in turn: stade has named the second for 2017 since its commit c3749f63."""

_MB = 10**6
_REBUILT = "published by users of the file; the content of the table used in development, so formatted, has it"
_TWICE = "published alike by two unrelated users of the file"
_ALIKE = "published alike by two users of the file or more, who may have had it from one"

_INPUT_2018, _INPUT_2019 = "isic2018/ISIC2018_Task3_Training_Input", "isic2019/ISIC_2019_Training_Input"
_TRUTH_2018 = "isic2018/ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
_GROUPS_2018 = "isic2018/ISIC2018_Task3_Training_LesionGroupings.csv"
_TRUTH_2019, _TABLE_2019 = "isic2019/ISIC_2019_Training_GroundTruth.csv", "isic2019/ISIC_2019_Training_Metadata.csv"

_GET_2018 = (
    Download(
        "2018/ISIC2018_Task3_Training_LesionGroupings.csv",
        _GROUPS_2018,
        481_000,
        492_996,
        "sha256:b0352393dc54843e39a7c108781c54cc8a0ef282240330ac239a88c46ea0cc0f",
        _REBUILT,
    ),
    Download(
        "2018/ISIC2018_Task3_Training_GroundTruth.zip",
        "isic2018/ISIC2018_Task3_Training_GroundTruth",
        36_000,
        None,
        "md5:8302427e4ce0c107559531b9f444abe9",
        _TWICE,
    ),
    Download("2018/ISIC2018_Task3_Training_Input.zip", _INPUT_2018, 2_600 * _MB),
)
_GET_2019_TABLES = (
    Download(
        "2019/ISIC_2019_Training_GroundTruth.csv",
        _TRUTH_2019,
        _MB,
        1_291_479,
        "sha256:aa88e9638fe4df9ef330dc4ba22fa4bd475c44af692fffb870c73091ab25cdcd",
        _REBUILT,
    ),
    Download(
        "2019/ISIC_2019_Training_Metadata.csv",
        _TABLE_2019,
        _MB,
        1_214_351,
        "sha256:d93994a8ed201d474de9a7af7e17ec30929cbc4a5220659ecbde17cbe83e9316",
        _REBUILT,
    ),
)
_GET_2019 = (
    *_GET_2019_TABLES,
    Download(
        "2019/ISIC_2019_Training_Input.zip",
        _INPUT_2019,
        9_100 * _MB,
        9_771_618_190,
        "sha256:5075020b720c8f1b9b7f3ff85326c55ce0435e5906c41fbd338994feef886df1",
        _TWICE,
    ),
)
_GET_2017 = (
    *_GET_2019_TABLES,
    Download(
        "2017/ISIC-2017_Validation_Data.zip",
        "isic2017/ISIC-2017_Validation_Data",
        878 * _MB,
        digest="md5:8d6419d942112f709894c0d82f6c9038",
        read_at=_ALIKE,
    ),
    Download(
        "2017/ISIC-2017_Test_v2_Data.zip",
        "isic2017/ISIC-2017_Test_v2_Data",
        5_400 * _MB,
        digest="md5:5f6a0b5e1f2972bd1f5ea02680489f09",
        read_at=_ALIKE,
    ),
    Download(
        "2017/ISIC-2017_Training_Data.zip",
        "isic2017/ISIC-2017_Training_Data",
        5_800 * _MB,
        digest="md5:a14a7e622c67a358797ae59abb8a0b0c",
        read_at=_ALIKE,
    ),
)

_COLUMNS_2019 = {
    "image": "image",
    "age": "age_approx",
    "site": "anatom_site_general",
    "lesion": "lesion_id",
    "sex": "sex",
}
_COLUMNS_2018 = {"image": "image", "lesion": "lesion_id", "confirmed_by": "diagnosis_confirm_type"}
_CONFIRMED: Mapping[str, Mapping[str, str]] = {
    "diagnosis_confirm_type": {
        "histopathology": "histo",
        "serial imaging showing no change": "follow_up",
        "single image expert consensus": "consensus",
        "confocal microscopy with consensus dermoscopy": "confocal",
    }
}

_HAM_OWN = Layout(
    folders=(_INPUT_2018, "ham10000-224", "ham10000"),
    optional=frozenset({_INPUT_2018, "ham10000-224", "ham10000"}),
    truth=_TRUTH_2019,
    tables=("ham10000/HAM10000_metadata.csv",),
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
)
_HAM_CHALLENGE = Layout(
    folders=(_INPUT_2018,),
    truth=_TRUTH_2019,
    tables=(_GROUPS_2018, _TRUTH_2018, _TABLE_2019),
    columns=_COLUMNS_2019 | _COLUMNS_2018 | {"diagnosis": "dx"},
    words=_CONFIRMED,
    lacks=(
        "the challenge's tables do not say which of the four sources an image comes from; put HAM10000_metadata.csv "
        "of doi:10.7910/DVN/DBW86T into the folder ham10000 and it will be read"
    ),
)
_SCALED = "scaled copies of the images with the published tables; never the original archives"

HAM10000 = DataSet(
    name="ham10000",
    title="HAM10000: 10,015 dermatoscopic images of 7,470 lesions, Vienna and Queensland",
    layouts=(_HAM_OWN, _HAM_CHALLENGE),
    source="ham10000",
    address="https://doi.org/10.7910/DVN/DBW86T",
    licence="CC BY-NC 4.0 (CC BY-NC-SA 4.0 in some deposits)",
    commercial=False,
    citation=(
        "Tschandl P, Rosendahl C, Kittler H. The HAM10000 dataset, a large collection of multi-source dermatoscopic "
        "images of common pigmented skin lesions. Sci Data 5, 180161 (2018). doi:10.1038/sdata.2018.161; "
        "data doi:10.7910/DVN/DBW86T. Eight-class labels: ISIC 2019 challenge (CC BY-NC 4.0)."
    ),
    images=10_015,
    lesions=7_470,
    downloads=(*_GET_2019_TABLES, *_GET_2018),
    reader_ran=_SCALED,
    weights_licence="CC BY-NC-SA 4.0",
    lacks=(
        "invasive squamous cell carcinoma (its SCC is in situ)",
        "nodular or amelanotic melanoma",
        "lesions of nail and mucosa",
        "dark skin (Fitzpatrick V and VI), but for a few",
        "diagnoses beyond the eight of ISIC 2019",
    ),
    read_at={
        "columns": "headers of HAM10000_metadata.csv and ISIC_2019_Training_Metadata.csv; for the lesion groupings, "
        "the file that the SHA-256 stands for, rebuilt",
        "images": "rows of HAM10000_metadata.csv",
        "lesions": "lesion ids of HAM10000_metadata.csv",
        "downloads": "stade, 2018.html and 2019.html",
        "licence": "stade, 2018.html (task 3); terms beside the files used in development; the owner's page is "
        "Dataverse doi:10.7910/DVN/DBW86T",
        "citation": "Sci Data 5, 180161; stade, 2018.html",
    },
)

ISIC2018_SET = DataSet(
    name="isic2018",
    title="ISIC 2018 challenge, task 3, training: the images of HAM10000 with the challenge's seven diagnoses",
    layouts=(Layout((_INPUT_2018,), _TRUTH_2018, (_GROUPS_2018,), _COLUMNS_2018, words=_CONFIRMED),),
    source="isic2018",
    address="https://challenge.isic-archive.com/data/#2018",
    licence="CC BY-NC 4.0",
    commercial=False,
    citation=(
        "Codella N, Rotemberg V, Tschandl P, et al. Skin Lesion Analysis Toward Melanoma Detection 2018. "
        "arXiv:1902.03368; Tschandl P, Rosendahl C, Kittler H. Sci Data 5, 180161 (2018)."
    ),
    images=10_015,
    lesions=7_470,
    downloads=_GET_2018,
    taxonomy=ISIC2018,
    reader_ran="drawn images in the published layout; never the original archives",
    weights_licence="CC BY-NC-SA 4.0",
    lacks=HAM10000.lacks[:4],
    read_at={
        "columns": "the file that the SHA-256 of the lesion groupings stands for, rebuilt",
        "images": "stade, 2018.html",
        "lesions": "lesion ids of HAM10000_metadata.csv",
        "downloads": "stade, 2018.html",
        "licence": "stade, 2018.html (task 3)",
        "citation": "stade, 2018.html",
    },
)

ISIC2017 = DataSet(
    name="isic2017",
    title="ISIC 2017 challenge: 2,745 dermoscopic images of other clinics, melanoma, nevus and benign keratosis only",
    layouts=(Layout(("isic2017",), _TRUTH_2019, (_TABLE_2019,), _COLUMNS_2019, partial=True),),
    source="isic2017",
    address="https://challenge.isic-archive.com/data/#2017",
    licence="CC0-1.0 (images), CC BY-NC 4.0 (labels, from ISIC 2019)",
    commercial=False,
    citation=(
        "Codella NCF, Gutman D, Celebi ME, et al. Skin Lesion Analysis Toward Melanoma Detection: A Challenge at the "
        "2017 International Symposium on Biomedical Imaging (ISBI), hosted by the International Skin Imaging "
        "Collaboration (ISIC). arXiv:1710.05006."
    ),
    images=2_745,
    downloads=_GET_2017,
    holds={"isic2017": frozenset({"MEL", "NV", "BKL"})},
    reader_ran=_SCALED,
    groups="isic2017",
    read_at={
        "columns": "header of ISIC_2019_Training_Metadata.csv",
        "groups": "found by tools/known_groups.py in the copies used in development (ADR 0006)",
        "holds": "arXiv:1710.05006, section on part 3 (melanoma, seborrheic keratosis, benign nevus)",
        "images": "ids of the image files found in ISIC_2019_Training_GroundTruth.csv",
        "downloads": "stade, 2017.html and 2019.html",
        "licence": "stade, 2017.html and 2019.html",
        "citation": "arXiv:1710.05006; stade, 2017.html",
    },
)

ISIC2019_SET = DataSet(
    name="isic2019",
    title="ISIC 2019 challenge, training: 25,331 dermoscopic images of HAM10000, BCN20000 and MSK",
    layouts=(Layout(("isic2019",), _TRUTH_2019, (_TABLE_2019,), _COLUMNS_2019),),
    source="isic2019",
    address="https://challenge.isic-archive.com/data/#2019",
    licence="CC BY-NC 4.0",
    commercial=False,
    citation=(
        "Tschandl P et al. Sci Data 5, 180161 (2018); Codella NCF et al. arXiv:1710.05006; Hernández-Pérez C et al. "
        "BCN20000: Dermoscopic lesions in the wild. Sci Data 11, 641 (2024)."
    ),
    images=25_331,
    downloads=_GET_2019,
    groups="isic2017",
    reader_ran="the published tables, with images of HAM10000 and ISIC 2017 only; never the original archive",
    read_at={
        "columns": "header of ISIC_2019_Training_Metadata.csv",
        "groups": "found by tools/known_groups.py in ISIC 2017, whose images are in this set; not in BCN20000",
        "images": "rows of ISIC_2019_Training_GroundTruth.csv",
        "downloads": "stade, 2019.html",
        "licence": "stade, 2019.html",
        "citation": "stade, 2019.html",
    },
)
