"""Published figures that are asked whether they can stand together: those of the studies, and of papers without one."""

from dermoscope.studies.consistency import FigureSet
from dermoscope.studies.registry import STUDIES, find

OTHERS = (
    FigureSet(
        "kassem2020",
        "GoogLeNet on the eight diagnoses of ISIC 2019, averages of one against all",
        "Kassem, Hosny & Fouad 2020, IEEE Access",
        {"acc": 0.9492, "sens": 0.798, "spec": 0.970},
        3,
        {"MEL": 4522, "NV": 12875, "BCC": 3323, "AK": 867, "BKL": 2624, "DF": 239, "VASC": 253, "SCC": 628},
        "macro",
        "assumed: tested on the mix of all 25,331 labelled images, for its test part is not published",
    ),
    FigureSet(
        "brinker2019",
        "CNN on biopsy-proven melanoma against nevus, 804 images",
        "Brinker et al. 2019, Eur J Cancer",
        {"sens": 0.823, "spec": 0.779},
        3,
        {"p": 402, "n": 402},
        remark="assumed: as many melanomas as nevi",
    ),
    FigureSet(
        "brinker2019",
        "Dermatologists on the same 804 images",
        "Brinker et al. 2019, Eur J Cancer",
        {"sens": 0.672, "spec": 0.622},
        3,
        remark="means over readers who each saw some of the images: how many decisions they are of is not stated here",
    ),
    *(
        FigureSet(
            "winkler2019",
            title,
            "Winkler et al. 2019, JAMA Dermatol 155:1135",
            {"sens": sens, "spec": spec},
            3,
            {"p": 23, "n": 107},
        )
        for title, sens, spec in (
            ("130 unmarked lesions", 0.957, 0.841),
            ("The same lesions with surgical skin markings", 1.0, 0.458),
            ("The same lesions, markings cropped off", 1.0, 0.972),
        )
    ),
)
"""Papers whose study is yet to be written; what is assumed stands with each."""


def figure_sets() -> tuple[FigureSet, ...]:
    """Those of every study, then of the other papers."""
    return (*(figures for name in STUDIES for figures in find(name).figure_sets), *OTHERS)
