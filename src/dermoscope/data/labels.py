"""Which words of the public data sets mean which of the nine ISIC 2019 codes, and which of these are debatable.

A map says for each code the words that mean it. Two more targets stand beside the eight diagnoses: `UNK`, known to be
none of the eight (such a case has no diagnosis but keeps its word), and `LEFT_OUT`, not read at all: the word may
mean one of the eight and does not say which. A malignant word without a code is `UNK` and never benign.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dermoscope.data.tables import plain

UNK = "UNK"
LEFT_OUT = "left out"


@dataclass(frozen=True)
class Labels:
    """Code -> the words that mean it. A word that no code names means `otherwise`; without it, it is an error.

    Case, `_`, `-` and repeated spaces do not count.
    """

    words: Mapping[str, tuple[str, ...]]
    otherwise: str = ""

    @cached_property
    def codes(self) -> Mapping[str, str]:
        """Word in plain form -> code."""
        return {plain(word): code for code, words in self.words.items() for word in words}

    def code(self, word: str) -> str:
        """What a word means; empty for a word that is not known."""
        return self.codes.get(plain(word), self.otherwise)

    @property
    def held(self) -> frozenset[str]:
        """The diagnoses that occur."""
        return frozenset(self.words) - {UNK, LEFT_OUT}


@dataclass(frozen=True)
class Debatable:
    """A choice that others make otherwise: words, the code that they get here, and why."""

    words: tuple[str, ...]
    code: str
    why: str


DEBATABLE: tuple[Debatable, ...] = (
    Debatable(
        ("lentigo", "lentigo NOS", "lentigo simplex", "solar lentigo", "ink spot lentigo", "melanosis", "SL"),
        "BKL",
        "ISIC counts solar lentigo as benign keratosis and Steppan & Hanke 2021 all lentigines and melanosis; a simple "
        "lentigo is a melanocytic lesion",
    ),
    Debatable(
        ("melanoma metastasis",),
        "MEL",
        "as Steppan & Hanke 2021; it is malignant melanoma, but looks unlike a primary one",
    ),
    Debatable(
        ("lentigo maligna", "melanoma in situ", "melanoma (in situ)"),
        "MEL",
        "melanoma in situ, which ISIC 2019 counts as melanoma",
    ),
    Debatable(
        ("Bowen's disease", "BOD", "squamous cell carcinoma in situ", "malignant- sccis"),
        "SCC",
        "squamous cell carcinoma in situ; HAM10000 puts it with actinic keratosis (akiec), and ISIC 2019 labels 197 of "
        "those SCC",
    ),
    Debatable(
        ("keratoacanthoma", "squamous-cell-carcinoma-keratoacanthoma", "SCCKA"),
        "SCC",
        "counted as a well differentiated squamous cell carcinoma (as MILK10k does); it often heals by itself",
    ),
    Debatable(
        ("lichenoid keratosis", "clear cell acanthoma", "inverted-follicular-keratosis"),
        "BKL",
        "ISIC counts lichen planus-like keratosis as benign keratosis; the rarer ones are benign keratinocytic lesions",
    ),
    Debatable(
        ("pyogenic granuloma", "lymphangioma", "angiokeratoma", "port wine stain", "hematoma"),
        "VASC",
        "ISIC 2018 counts angiomas, angiokeratomas, pyogenic granulomas and haemorrhages; lymph vessels are added here",
    ),
    Debatable(
        ("reed or spitz nevus", "Spitz/Reed nevus", "dysplastic nevus", "atypical nevus", "recurrent nevus"),
        "NV",
        "benign melanocytic lesions that imitate melanoma: counted as nevi by every source that names them",
    ),
    Debatable(
        ("AKIEC",),
        LEFT_OUT,
        "MILK10k joins actinic keratosis and intraepidermal carcinoma (AK and SCC here) and does not say which it is",
    ),
    Debatable(
        ("atypical melanocytic proliferation", "other- melanocytic lesion, possible re-excision"),
        LEFT_OUT,
        "between nevus and melanoma: neither code is right",
    ),
    Debatable(
        ("benign", "unknown"),
        LEFT_OUT,
        "benign without a diagnosis (ISIC 2016, 2020, 2024): most are nevi, but which is not said",
    ),
    Debatable(
        ("epidermal nevus", "becker nevus", "nevus sebaceous of jadassohn", "naevus comedonicus",
         "nevus-lipomatosus-superficialis"),
        UNK,
        "called nevus but not melanocytic",
    ),
    Debatable(
        ("Malignant_Melanoma", "Basal_Cell_Carcinoma", "Compound_Nevus", "Bowenoid_Papulosis", "Subungual_Hematoma"),
        LEFT_OUT,
        "of SD-198 only what is none of the eight is used (as UNK), as in Steppan & Hanke 2021",
    ),
)  # fmt: skip
"""What is mapped here in a way that others contest; `dermoscope data show NAME` lists what concerns a set."""

ISIC2016 = Labels({"MEL": ("malignant",), LEFT_OUT: ("benign",)})
"""Every malignant lesion of ISIC 2016 is a melanoma (arXiv:1605.01397); a benign one may be of several kinds."""

ISIC2020 = Labels(
    {
        "MEL": ("melanoma",),
        "NV": ("nevus",),
        "BKL": ("seborrheic keratosis", "solar lentigo", "lentigo NOS", "lichenoid keratosis"),
        LEFT_OUT: ("", "unknown", "other", "atypical melanocytic proliferation"),
    },
    otherwise=UNK,
)

ARCHIVE = Labels(
    {
        "MEL": (
            "Melanoma", "Melanoma, NOS", "Melanoma Invasive", "Melanoma in situ", "Melanoma metastasis",
            "Lentigo maligna", "Lentigo maligna melanoma",
        ),
        "NV": ("Nevus",),
        "BCC": ("Basal cell carcinoma",),
        "AK": ("Actinic keratosis", "Solar or actinic keratosis"),
        "BKL": (
            "Seborrheic keratosis", "Pigmented benign keratosis", "Solar lentigo", "Lichen planus like keratosis",
            "Lichenoid keratosis", "Lentigo NOS", "Lentigo simplex", "Ink-spot lentigo",
        ),
        "DF": ("Dermatofibroma",),
        "VASC": ("Hemangioma", "Angioma", "Angiokeratoma", "Pyogenic granuloma", "Vascular lesion"),
        "SCC": (
            "Squamous cell carcinoma", "Squamous cell carcinoma, NOS", "Squamous cell carcinoma, Invasive",
            "Squamous cell carcinoma in situ", "Bowen's disease", "Keratoacanthoma",
        ),
        LEFT_OUT: (
            "", "Benign", "Malignant", "Indeterminate", "unknown", "other", "Atypical melanocytic proliferation",
            "Atypical melanocytic neoplasm", "Atypical intraepithelial melanocytic proliferation", "AIMP",
        ),
    },
    otherwise=UNK,
)  # fmt: skip
"""Words of the ISIC archive (`diagnosis_3`); what it says only as benign or malignant is left out."""

BCN = Labels(
    {
        "MEL": ("MEL", "Melanoma", "Melanoma, NOS", "Melanoma Invasive", "Melanoma in situ", "Melanoma metastasis"),
        "NV": ("NV", "Nevus"),
        "BCC": ("BCC", "Basal cell carcinoma"),
        "AK": ("AK", "Solar or actinic keratosis"),
        "BKL": ("BKL", "SK", "SL", "Seborrheic keratosis", "Solar lentigo"),
        "DF": ("DF", "Dermatofibroma"),
        "VASC": ("VASC", "Vascular lesion"),
        "SCC": ("SCC", "Squamous cell carcinoma, NOS"),
        LEFT_OUT: ("",),
    }
)

MILK10K = Labels(
    {
        **{code: (code,) for code in ("MEL", "NV", "BCC", "BKL", "DF", "VASC")},
        "SCC": ("SCCKA",),
        UNK: ("BEN_OTH", "MAL_OTH", "INF"),
        LEFT_OUT: ("AKIEC",),
    }
)

DERM7PT = Labels(
    {
        "MEL": (
            "melanoma", "melanoma (in situ)", "melanoma (less than 0.76 mm)", "melanoma (0.76 to 1.5 mm)",
            "melanoma (more than 1.5 mm)", "melanoma metastasis",
        ),
        "NV": (
            "blue nevus", "clark nevus", "combined nevus", "congenital nevus", "dermal nevus", "recurrent nevus",
            "reed or spitz nevus",
        ),
        "BCC": ("basal cell carcinoma",),
        "BKL": ("seborrheic keratosis", "lentigo", "melanosis"),
        "DF": ("dermatofibroma",),
        "VASC": ("vascular lesion",),
        UNK: ("miscellaneous",),
    }
)  # fmt: skip
"""As Steppan & Hanke 2021 say in words: all nevi NV, all melanomas and metastases MEL, the rest UNK."""

PH2 = Labels({"NV": ("common nevus", "atypical nevus"), "MEL": ("melanoma",)})

MED_NODE = Labels({"MEL": ("melanoma",), "NV": ("naevus",)})

SKINL2 = Labels(
    {
        "MEL": ("melanoma",),
        "NV": ("melanocytic nevus", "nevus"),
        "BCC": ("basal cell carcinoma",),
        "BKL": ("seborrheic keratosis",),
        "DF": ("dermatofibroma",),
        "VASC": ("hemangioma",),
        UNK: ("psoriasis",),
        LEFT_OUT: ("other",),
    }
)

SD198 = Labels(
    {
        LEFT_OUT: (
            "Actinic_solar_Damage(Actinic_Keratosis)", "Actinic_solar_Damage(Actinic_Cheilitis)", "Angioma",
            "Basal_Cell_Carcinoma", "Benign_Keratosis", "Blue_Nevus", "Bowen's_Disease", "Bowenoid_Papulosis",
            "Compound_Nevus", "Congenital_Nevus", "Dermatofibroma", "Dermatosis_Papulosa_Nigra", "Dysplastic_Nevus",
            "Halo_Nevus", "Junction_Nevus", "Keratoacanthoma", "Lentigo_Maligna_Melanoma",
            "Lymphangioma_Circumscriptum", "Malignant_Melanoma", "Nail_Nevus", "Nevus_Incipiens", "Nevus_Spilus",
            "Pyogenic_Granuloma", "Seborrheic_Keratosis", "Solar_Lentigo", "Strawberry_Hemangioma",
            "Subungual_Hematoma",
        ),
    },
    otherwise=UNK,
)  # fmt: skip
"""Clinical photographs of 198 diseases: those that are one of the eight are dropped, the rest is UNK.

Dropped too are kinds of the eight under names of their own (dermatosis papulosa nigra is a seborrheic keratosis,
bowenoid papulosis a squamous cell carcinoma in situ under the microscope), and what other maps here count as VASC.
"""

PAD_UFES = Labels(
    {"MEL": ("MEL",), "NV": ("NEV",), "BCC": ("BCC",), "AK": ("ACK",), "BKL": ("SEK",), "SCC": ("SCC", "BOD")}
)

DERM12345 = Labels(
    {
        "MEL": ("anm", "alm", "lm", "lmm", "mel"),
        "NV": (
            "acb", "ccb", "mcb", "cb", "bdb", "db", "ajb", "cjb", "jb", "acd", "ccd", "cd", "ajd", "srjd", "jd", "rd",
        ),
        "BCC": ("bcc",),
        "AK": ("ak",),
        "BKL": ("sk", "lk", "isl", "ls", "sl"),
        "DF": ("df",),
        "VASC": ("angk", "ha", "la", "pg", "sa"),
        "SCC": ("scc", "bd"),
        UNK: ("ch", "mpd", "dfsp", "ks"),
    }
)  # fmt: skip
"""Codes of DERM12345. UNK: cutaneous horn, mammary Paget disease, dermatofibrosarcoma, Kaposi sarcoma."""

FITZPATRICK = Labels(
    {
        "MEL": ("melanoma", "malignant melanoma", "superficial spreading melanoma ssm", "lentigo maligna"),
        "NV": ("nevocytic nevus", "congenital nevus", "halo nevus"),
        "BCC": ("basal cell carcinoma", "basal cell carcinoma morpheiform", "solid cystic basal cell carcinoma"),
        "AK": ("actinic keratosis",),
        "BKL": ("seborrheic keratosis",),
        "DF": ("dermatofibroma",),
        "VASC": ("pyogenic granuloma", "granuloma pyogenic", "port wine stain", "lymphangioma"),
        "SCC": ("squamous cell carcinoma", "keratoacanthoma"),
        UNK: ("epidermal nevus", "becker nevus", "nevus sebaceous of jadassohn", "naevus comedonicus"),
    },
    otherwise=UNK,
)

DDI = Labels(
    {
        "MEL": (
            "melanoma", "melanoma-in-situ", "melanoma-acral-lentiginous", "nodular-melanoma-(nm)",
        ),
        "NV": (
            "melanocytic-nevi", "blue-nevus", "dysplastic-nevus", "atypical-spindle-cell-nevus-of-reed",
            "pigmented-spindle-cell-nevus-of-reed",
        ),
        "BCC": ("basal-cell-carcinoma", "basal-cell-carcinoma-superficial", "basal-cell-carcinoma-nodular"),
        "AK": ("actinic-keratosis",),
        "BKL": (
            "seborrheic-keratosis", "seborrheic-keratosis-irritated", "benign-keratosis", "lichenoid-keratosis",
            "inverted-follicular-keratosis", "clear-cell-acanthoma", "solar-lentigo",
        ),
        "DF": ("dermatofibroma",),
        "VASC": ("angioma", "arteriovenous-hemangioma", "pyogenic-granuloma", "hematoma"),
        "SCC": (
            "squamous-cell-carcinoma", "squamous-cell-carcinoma-in-situ", "squamous-cell-carcinoma-keratoacanthoma",
        ),
        UNK: ("epidermal-nevus", "nevus-lipomatosus-superficialis"),
    },
    otherwise=UNK,
)  # fmt: skip

MIDAS = Labels(
    {
        "MEL": ("malignant- melanoma",),
        "NV": ("benign-melanocytic nevus",),
        "BCC": ("malignant- bcc",),
        "AK": ("malignant- ak",),
        "BKL": ("benign-seborrheic keratosis",),
        "DF": ("benign-dermatofibroma",),
        "VASC": ("benign-hemangioma",),
        "SCC": ("malignant- scc", "malignant- sccis"),
        UNK: ("benign-other", "benign-fibrous papule", "malignant- other"),
    },
    otherwise=LEFT_OUT,
)
"""Pathology of MRA-MIDAS; what is not certain (`other- ...`) and what was not biopsied is left out."""


def debatable(labels: Labels) -> tuple[Debatable, ...]:
    """The debatable choices that concern a map: those whose words it has with that code."""
    return tuple(
        Debatable(words, choice.code, choice.why)
        for choice in DEBATABLE
        if (words := tuple(w for w in choice.words if labels.codes.get(plain(w)) == choice.code))
    )
