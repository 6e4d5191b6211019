"""Data sets of the ISIC archive that a user puts into place: other challenges and collections.

The archive exports a table `metadata.csv` (`isic_id`, `diagnosis_3`, `image_type`, `lesion_id`, ...); its columns were
read in exports that users published (https://huggingface.co/datasets/hannahisrael03/ham_metadata). Licences and sizes
of the challenges: https://github.com/ImageMarkup/stade, `stade/core/templates/data/2016.html` and `2020.html`.
"""

from dermoscope.data import labels
from dermoscope.data.dataset import DataSet, Layout
from dermoscope.data.published import milk10k, without_header

_NEVER = "drawn images in the published layout; never the original files"
_EXPORT = "export of the ISIC archive as published by users, read by name: isic_id, diagnosis_3, image_type"
_MEMORY = "the publication, as remembered; not looked up again"


def archive(name: str) -> Layout:
    """The archive's own form: images and `metadata.csv` in one folder; the dermoscopic ones are read."""
    return Layout(
        folders=(name,),
        truth="",
        tables=(f"{name}/metadata.csv",),
        columns={"image": "isic_id", "diagnosis": "diagnosis_3"},
        labels=labels.ARCHIVE,
        only={"image_type": ("dermoscopic",)},
    )


ISIC2016 = DataSet(
    name="isic2016",
    title="ISIC 2016 challenge, part 3, training: 900 dermoscopic images, melanoma or benign",
    layouts=(
        Layout(
            ("isic2016",),
            "",
            ("isic2016/ISBI2016_ISIC_Part3_Training_GroundTruth.csv",),
            {"image": "image", "diagnosis": "diagnosis"},
            labels=labels.ISIC2016,
            reader=without_header,
            lacks="what is benign has no further diagnosis and is not read",
        ),
    ),
    source="isic2016",
    licence="CC0-1.0",
    commercial=True,
    citation="Gutman D, Codella NCF, Celebi E, et al. Skin Lesion Analysis toward Melanoma Detection. arXiv:1605.01397",
    images=900,
    address="https://challenge.isic-archive.com/data/#2016",
    access="by hand",
    holds={"isic2016": labels.ISIC2016.held},
    reader_ran=_NEVER,
    read_at={
        "columns": "rows in programs of users; the file has no header",
        "images": "stade, 2016.html",
        "licence": "stade, 2016.html (CC-0)",
        "citation": "stade, 2016.html",
    },
)

ISIC2020 = DataSet(
    name="isic2020",
    title="ISIC 2020 challenge (SIIM-ISIC), training: 33,126 dermoscopic images of 2,056 patients, mostly unspecified",
    layouts=(
        Layout(
            ("isic2020",),
            "",
            ("isic2020/ISIC_2020_Training_GroundTruth.csv",),
            {"image": "image_name", "diagnosis": "diagnosis", "patient": "patient_id"},
            labels=labels.ISIC2020,
            lacks="what is benign without a diagnosis (unknown) is not read",
        ),
    ),
    source="isic2020",
    licence="CC BY-NC 4.0",
    commercial=False,
    citation=(
        "Rotemberg V, Kurtansky N, Betz-Stablein B, et al. A patient-centric dataset of images and metadata for "
        "identifying melanomas using clinical context. Sci Data 8, 34 (2021). doi:10.1038/s41597-021-00815-z; "
        "data doi:10.34970/2020-ds01"
    ),
    images=33_126,
    patients=2_056,
    address="https://challenge.isic-archive.com/data/#2020",
    access="by hand",
    holds={"isic2020": labels.ISIC2020.held},
    reader_ran=_NEVER + ": it is kept back here for tests",
    read_at={
        "columns": "header in programs of users of the table",
        "images": "stade, 2020.html",
        "patients": "PMC7843971, abstract",
        "licence": "stade, 2020.html",
        "citation": "stade, 2020.html",
    },
)

ISIC2024 = DataSet(
    name="isic2024",
    title="ISIC 2024, SLICE-3D: 401,059 crops of 15 mm from total body photographs of 1,042 patients",
    layouts=(
        Layout(
            ("isic2024/train-image",),
            "",
            ("isic2024/train-metadata.csv",),
            {"image": "isic_id", "diagnosis": "iddx_3", "patient": "patient_id"},
            labels=labels.ARCHIVE,
            lacks="what is benign without a diagnosis is not read; the JPEG files are read, not the HDF5 file",
        ),
    ),
    source="isic2024",
    kind="clinical",
    licence="CC BY-NC 4.0",
    commercial=False,
    citation=(
        "Kurtansky NR, D'Alessandro BM, Gillis MC, et al. The SLICE-3D dataset. Sci Data 11, 884 (2024). "
        "doi:10.1038/s41597-024-03743-w; data doi:10.34970/2024-slice-3d"
    ),
    images=401_059,
    patients=1_042,
    address="https://challenge2024.isic-archive.com",
    access="login or by hand",
    reader_ran=_NEVER,
    read_at={
        "columns": "data descriptions of users of the Kaggle form; iddx_3 " + _MEMORY,
        "images": _MEMORY,
        "patients": _MEMORY,
        "licence": "terms quoted by users with doi:10.34970/2024-slice-3d; a part is under freer terms "
        "(doi:10.34970/2024-slice3d-permissive)",
        "citation": "doi:10.1038/s41597-024-03743-w, title and introduction",
    },
)

BCN20000 = DataSet(
    name="bcn20000",
    title="BCN20000: 18,946 dermoscopic images of 5,583 lesions, Barcelona, hard places included",
    layouts=(
        Layout(
            ("bcn20000/bcn_20k_train",),
            "",
            ("bcn20000/bcn_20k_train.csv",),
            {"image": "bcn_filename", "diagnosis": "diagnosis", "lesion": "lesion_id"},
            labels=labels.BCN,
        ),
        archive("bcn20000"),
    ),
    source="bcn20000",
    licence="CC BY-NC 4.0 (as part of ISIC 2019; the terms of the deposit itself were not read)",
    commercial=False,
    citation=(
        "Hernández-Pérez C, Combalia M, Podlipnik S, et al. BCN20000: Dermoscopic lesions in the wild. "
        "Sci Data 11, 641 (2024). arXiv:1908.02288"
    ),
    images=18_946,
    lesions=5_583,
    address="https://www.nature.com/articles/s41597-024-03387-w",
    access="by hand",
    reader_ran=_NEVER,
    read_at={
        "columns": "an example row in a program of users: bcn_filename, age_approx, anatom_site_general, diagnosis, "
        "lesion_id, capture_date, sex",
        "images": _MEMORY,
        "lesions": _MEMORY,
        "licence": "stade, 2019.html",
        "citation": "stade, 2019.html",
    },
)

MSK = DataSet(
    name="msk",
    title="MSK-1 to MSK-5: dermoscopic images of Memorial Sloan Kettering in the ISIC archive",
    layouts=(archive("msk"),),
    source="msk",
    licence="per image (column copyright_license)",
    commercial=None,
    citation="Codella NCF, Gutman D, Celebi ME, et al. arXiv:1710.05006 (the images of ISIC 2017).",
    images=0,
    address="https://api.isic-archive.com/collections/",
    access="by hand",
    reader_ran=_NEVER,
    read_at={
        "columns": _EXPORT,
        "images": "not read; parts of it are in ISIC 2016, 2017 and 2019",
        "licence": "the archive states it for each image; CC-0 in the challenges of 2016 and 2017 (stade)",
        "citation": "stade, 2017.html",
    },
)

MILK10K = DataSet(
    name="milk10k",
    title="MILK10k: 5,240 lesions, each with a dermoscopic image and a clinical close-up",
    layouts=(
        Layout(
            ("milk10k",),
            "",
            ("milk10k/MILK10k_Training_Metadata.csv", "milk10k/MILK10k_Training_GroundTruth.csv"),
            {"image": "isic_id", "diagnosis": "diagnosis", "lesion": "lesion_id", "age": "age_approx", "sex": "sex"},
            labels=labels.MILK10K,
            only={"image_type": ("dermoscopic",)},
            reader=milk10k,
            lacks="its class AKIEC does not tell actinic keratosis from carcinoma in situ and is not read",
        ),
    ),
    source="milk10k",
    kind="mixed",
    licence="CC BY-NC 4.0",
    commercial=False,
    citation="MILK study team. MILK10k. ISIC Archive (2025). doi:10.34970/648456; doi:10.1016/j.jid.2025.06.1594",
    images=10_480,
    lesions=5_240,
    address="https://api.isic-archive.com/doi/milk10k/",
    access="by hand",
    holds={"milk10k": labels.MILK10K.held},
    reader_ran=_NEVER,
    read_at={
        "columns": "headers and example rows in a program of users",
        "images": "read-me files of two users",
        "lesions": "read-me files of two users",
        "licence": "data sheets of two users",
        "citation": "attribution quoted by a user of the data",
    },
)

HIBA = DataSet(
    name="hiba",
    title="HIBA: 1,616 dermoscopic and clinical images of 1,246 lesions, Hospital Italiano de Buenos Aires",
    layouts=(archive("hiba"),),
    source="hiba",
    kind="mixed",
    licence="CC BY 4.0",
    commercial=True,
    citation=(
        "Ricci Lara MA, Rodríguez Kowalczuk MV, Lisa Eliceche M, et al. A dataset of skin lesion images collected in "
        "Argentina for the evaluation of AI tools in this population. Sci Data 10, 712 (2023). "
        "doi:10.1038/s41597-023-02630-0; data doi:10.34970/432362"
    ),
    images=1_616,
    lesions=1_246,
    patients=623,
    address="https://api.isic-archive.com/doi/hospital-italiano-de-buenos-aires-skin-lesions/",
    access="by hand",
    reader_ran=_NEVER,
    read_at={
        "columns": _EXPORT,
        "images": "abstract; lesions and patients " + _MEMORY,
        "lesions": _MEMORY,
        "patients": _MEMORY,
        "licence": "a report of a user on the release of 2019-2022 (CC-BY); the column copyright_license says it again",
        "citation": "library record of the article; data DOI: github.com/piashiba",
    },
)

DERM12345 = DataSet(
    name="derm12345",
    title="DERM12345: 12,345 dermoscopic images in 40 subclasses, Türkiye",
    layouts=(
        Layout(
            ("derm12345",),
            "",
            ("derm12345/derm12345_metadata_train.tab", "derm12345/derm12345_metadata_test.tab"),
            {"image": "image_id", "diagnosis": "label"},
            labels=labels.DERM12345,
            stacked=True,
        ),
        archive("derm12345"),
    ),
    source="derm12345",
    licence="CC BY 4.0",
    commercial=True,
    citation=(
        "Yilmaz A, Yasar SP, Gencoglan G, Temelkuran B. DERM12345: A Large, Multisource Dermatoscopic Skin Lesion "
        "Dataset with 40 Subclasses. Sci Data 11, 1302 (2024). doi:10.1038/s41597-024-04104-3; data doi:10.34970/705541"
    ),
    images=12_345,
    address="https://api.isic-archive.com/doi/derm12345",
    access="by hand",
    reader_ran=_NEVER,
    read_at={
        "columns": "image_id, label and the codes: a program of users of the tables",
        "images": "https://api.isic-archive.com/doi/derm12345",
        "licence": "https://api.isic-archive.com/doi/derm12345 (CC-BY)",
        "citation": "https://api.isic-archive.com/doi/derm12345",
    },
)
