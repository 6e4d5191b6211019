"""Data sets that are published elsewhere: dermoscopic, both kinds, clinical photographs."""

from dermoscope.data import labels
from dermoscope.data.dataset import DataSet, Layout
from dermoscope.data.published import class_folders, ph2

_NEVER = "drawn images in the published layout; never the original files"
_RESERVED = _NEVER + ": it is kept back here for tests"
_UNREAD = "not stated where it was looked for"
_MEMORY = "the publication, as remembered; not looked up again"

DERM7PT = DataSet(
    name="derm7pt",
    title="Derm7pt: 1,011 cases with a dermoscopic and a clinical image and the seven-point checklist",
    layouts=(
        Layout(
            ("derm7pt/images",),
            "",
            ("derm7pt/meta/meta.csv",),
            {"image": "derm", "diagnosis": "diagnosis", "sex": "sex", "site": "location"},
            labels=labels.DERM7PT,
        ),
    ),
    source="derm7pt",
    kind="mixed",
    licence="own terms (accepted in a form; not read here)",
    commercial=None,
    citation=(
        "Kawahara J, Daneshvar S, Argenziano G, Hamarneh G. Seven-Point Checklist and Skin Lesion Classification "
        "using Multitask Multimodal Neural Nets. IEEE J Biomed Health Inform 23, 538 (2019). "
        "doi:10.1109/JBHI.2018.2824327"
    ),
    images=2_022,
    lesions=1_011,
    address="https://derm.cs.sfu.ca",
    access="form",
    reader_ran=_RESERVED,
    holds={"derm7pt": labels.DERM7PT.held},
    read_at={
        "columns": "https://github.com/jeremykawahara/derm7pt, derm7pt/dataset.py (derm, clinic, diagnosis and its "
        "words, location, sex) and read-me (images, meta/meta.csv)",
        "images": "two for each of the 1,011 cases of arXiv:2101.03814; a few may lack the clinical one",
        "lesions": "arXiv:2101.03814",
        "licence": _UNREAD,
        "citation": "https://github.com/jeremykawahara/derm7pt, read-me",
    },
)

PH2 = DataSet(
    name="ph2",
    title="PH2: 200 dermoscopic images, Matosinhos: 80 common nevi, 80 atypical nevi, 40 melanomas",
    layouts=(
        Layout(
            ("ph2/PH2 Dataset images",),
            "",
            ("ph2/PH2_dataset.txt",),
            {"image": "image", "diagnosis": "diagnosis"},
            labels=labels.PH2,
            reader=ph2,
        ),
    ),
    source="ph2",
    licence="research and education only",
    commercial=False,
    citation=(
        "Mendonça T, Ferreira PM, Marques JS, Marcal ARS, Rozeira J. PH2: a dermoscopic image database for research "
        "and benchmarking. EMBC 2013. doi:10.1109/EMBC.2013.6610779"
    ),
    images=200,
    address="https://www.fc.up.pt/addi/ph2%20database.html",
    access="form",
    reader_ran=_RESERVED,
    holds={"ph2": labels.PH2.held},
    read_at={
        "columns": "PH2_dataset.txt as described by users who read it: || name || histology || 0, 1 or 2 || ...",
        "images": "https://github.com/MA-Malik/Skin-Lesion-Classification, read-me, from the owner's page",
        "licence": "terms as two users give them",
        "citation": "https://github.com/dataset-ninja/ph2; DOI " + _MEMORY,
    },
)

SKINL2 = DataSet(
    name="skinl2",
    title="SKINL2 v2: dermoscopic images beside light fields, Leiria",
    layouts=(
        Layout(
            ("skinl2",),
            "",
            (),
            {"image": "image", "diagnosis": "diagnosis"},
            labels=labels.SKINL2,
            reader=class_folders,
            lacks="the published folders were not seen: put the dermoscopic images into a folder for each diagnosis",
        ),
    ),
    source="skinl2",
    licence="own terms (not read here)",
    commercial=None,
    citation="de Faria SMM, Filipe JN, Pereira PMM, et al. Light Field Image Dataset of Skin Lesions. EMBC 2019.",
    images=92,
    address="https://www.it.pt/AutomaticPage?p=3459",
    access="form",
    reader_ran=_NEVER,
    holds={"skinl2": labels.SKINL2.held},
    read_at={
        "columns": "the names of the eight categories " + _MEMORY,
        "images": "arXiv:2101.03814 (92 were used there)",
        "licence": _UNREAD,
        "citation": _MEMORY,
    },
)

MEDNODE = DataSet(
    name="mednode",
    title="MED-NODE: 170 clinical photographs, Groningen: 70 melanomas, 100 nevi",
    layouts=(
        Layout(
            ("mednode",),
            "",
            (),
            {"image": "image", "diagnosis": "diagnosis"},
            labels=labels.MED_NODE,
            reader=class_folders,
        ),
    ),
    source="mednode",
    kind="clinical",
    licence="none stated",
    commercial=None,
    citation=(
        "Giotis I, Molders N, Land S, et al. MED-NODE: A computer-assisted melanoma diagnosis system using "
        "non-dermoscopic images. Expert Syst Appl 42, 6578 (2015)."
    ),
    images=170,
    address="https://www.cs.rug.nl/~imaging/databases/melanoma_naevi/",
    access="by hand",
    reader_ran=_NEVER,
    holds={"mednode": labels.MED_NODE.held},
    read_at={
        "columns": "folders melanoma and naevus in programs of users",
        "images": "count checked in a program of a user (70 + 100)",
        "licence": _UNREAD,
        "citation": _MEMORY,
    },
)

SD198 = DataSet(
    name="sd198",
    title="SD-198: 6,584 clinical photographs of 198 skin diseases",
    layouts=(
        Layout(
            ("sd198/images",),
            "",
            (),
            {"image": "image", "diagnosis": "diagnosis"},
            labels=labels.SD198,
            reader=class_folders,
            lacks="only what is none of the eight diagnoses is read, as UNK",
        ),
    ),
    source="sd198",
    kind="clinical",
    licence="none stated (pictures of DermQuest)",
    commercial=None,
    citation="Sun X, Yang J, Sun M, Wang K. A Benchmark for Automatic Visual Classification of Clinical Skin Disease "
    "Images. ECCV 2016. doi:10.1007/978-3-319-46466-4_13",
    images=6_584,
    address="http://xiaopingwu.cn/assets/projects/sd-198/",
    access="form",
    reader_ran=_NEVER,
    holds={"sd198": labels.SD198.held},
    read_at={
        "columns": "class folders in programs of users, who name those that overlap with nevi and carcinomas",
        "images": _MEMORY,
        "licence": _UNREAD,
        "citation": "programs of users (DOI)",
    },
)

PADUFES20 = DataSet(
    name="padufes20",
    title="PAD-UFES-20: 2,298 smartphone photographs of 1,641 lesions of 1,373 patients, Espírito Santo",
    layouts=(
        Layout(
            ("padufes20",),
            "",
            ("padufes20/metadata.csv",),
            {
                "image": "img_id",
                "diagnosis": "diagnostic",
                "lesion": "lesion_id",
                "patient": "patient_id",
                "age": "age",
                "sex": "gender",
                "site": "region",
            },
            labels=labels.PAD_UFES,
            words={"gender": {"FEMALE": "female", "MALE": "male"}},
        ),
    ),
    source="padufes20",
    kind="clinical",
    licence="CC BY 4.0",
    commercial=True,
    citation=(
        "Pacheco AGC, Lima GR, Salomão AS, et al. PAD-UFES-20: a skin lesion dataset composed of patient data and "
        "clinical images collected from smartphones. Data in Brief 32, 106221 (2020). doi:10.17632/zr7vgbcyr2.1"
    ),
    images=2_298,
    lesions=1_641,
    patients=1_373,
    address="https://data.mendeley.com/datasets/zr7vgbcyr2/1",
    access="by hand",
    reader_ran=_NEVER,
    holds={"padufes20": labels.PAD_UFES.held},
    read_at={
        "columns": "header and a row of metadata.csv in a program of a user",
        "images": "https://github.com/Med-AI-Lab/polygon, PadUfes20.md",
        "lesions": _MEMORY,
        "patients": _MEMORY,
        "licence": "https://github.com/Med-AI-Lab/polygon, PadUfes20.md",
        "citation": "https://github.com/Med-AI-Lab/polygon, PadUfes20.md",
    },
)

FITZPATRICK17K = DataSet(
    name="fitzpatrick17k",
    title="Fitzpatrick17k: 16,577 clinical photographs of 114 conditions with the skin type",
    layouts=(
        Layout(
            ("fitzpatrick17k/images",),
            "",
            ("fitzpatrick17k/fitzpatrick17k.csv",),
            {"image": "md5hash", "diagnosis": "label"},
            labels=labels.FITZPATRICK,
            partial=True,
            lacks="the table names addresses: fetch the images as MD5HASH.jpg; those that are gone are left out",
        ),
    ),
    source="fitzpatrick17k",
    kind="clinical",
    licence="CC BY-NC-SA 3.0 (table; the pictures belong to two atlases)",
    commercial=False,
    citation=(
        "Groh M, Harris C, Soenksen L, et al. Evaluating Deep Neural Networks Trained on Clinical Images in "
        "Dermatology with the Fitzpatrick 17k Dataset. CVPR Workshops 2021. arXiv:2104.09957"
    ),
    images=16_577,
    address="https://github.com/mattgroh/fitzpatrick17k",
    access="list of addresses",
    reader_ran=_NEVER,
    read_at={
        "columns": "header in a program of a user: md5hash, fitzpatrick_scale, fitzpatrick_centaur, label, "
        "nine_partition_label, three_partition_label, qc, url, url_alphanum",
        "images": "https://github.com/mysha-rahman/derm-benchmark, DATA_SOURCES.md",
        "licence": _MEMORY,
        "citation": _MEMORY,
    },
)

DDI = DataSet(
    name="ddi",
    title="DDI: 656 clinical photographs of 570 patients, light to dark skin, all with histology, Stanford",
    layouts=(
        Layout(
            ("ddi",),
            "",
            ("ddi/ddi_metadata.csv",),
            {"image": "DDI_file", "diagnosis": "disease"},
            labels=labels.DDI,
        ),
    ),
    source="ddi",
    kind="clinical",
    licence="research use (Stanford agreement)",
    commercial=False,
    citation=(
        "Daneshjou R, Vodrahalli K, Novoa RA, et al. Disparities in dermatology AI performance on a diverse, curated "
        "clinical image set. Sci Adv 8, eabq6147 (2022)."
    ),
    images=656,
    patients=570,
    address="https://ddi-dataset.github.io",
    access="login",
    reader_ran=_NEVER,
    read_at={
        "columns": "https://github.com/DDI-Dataset/DDI-Code and programs of users: DDI_file, skin_tone, malignant, "
        "disease and its words",
        "images": _MEMORY,
        "patients": _MEMORY,
        "licence": _MEMORY,
        "citation": "https://github.com/DDI-Dataset/DDI-Code",
    },
)

MIDAS = DataSet(
    name="midas",
    title="MRA-MIDAS: paired clinical and dermoscopic images of biopsied lesions, Stanford and Cleveland",
    layouts=(
        Layout(
            ("midas",),
            "",
            ("midas/release_midas.csv",),
            {
                "image": "midas_file_name",
                "diagnosis": "midas_path",
                "lesion": "midas_record_id",
                "age": "midas_age",
                "sex": "midas_gender",
            },
            labels=labels.MIDAS,
            only={"midas_distance": ("dscope",)},
            lacks="save release_midas.xlsx as CSV beside it; a record counts as a lesion",
        ),
    ),
    source="midas",
    kind="mixed",
    licence="research use (Stanford agreement)",
    commercial=False,
    citation=(
        "Chiou AS, Omiye JA, Gui H, et al. MRA-MIDAS: Multimodal Image Dataset for AI-based Skin Cancer. Stanford AIMI "
        "(2024)."
    ),
    images=0,
    address="https://aimi.stanford.edu/datasets/mra-midas-Multimodal-Image-Dataset-for-AI-based-Skin-Cancer",
    access="login",
    reader_ran=_NEVER,
    read_at={
        "columns": "programs of users of release_midas.xlsx: midas_file_name, midas_path and its words, "
        "midas_record_id, midas_distance (dscope)",
        "images": "not read",
        "licence": "a user's read-me (account, accept the terms); " + _MEMORY,
        "citation": "a user's read-me",
    },
)
