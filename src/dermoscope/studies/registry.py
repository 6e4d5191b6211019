"""The studies there are, by name; a module is imported only when its study is asked for, and has it as `STUDY`."""

from collections.abc import Mapping
from importlib import import_module

from dermoscope.core.errors import InputError
from dermoscope.studies.base import Study

STUDIES: Mapping[str, str] = {
    "steppan2021": "dermoscope.studies.steppan2021",
    "preprocessing": "dermoscope.studies.preprocessing",
    "ood": "dermoscope.studies.ood",
    "tschandl2018": "dermoscope.studies.tschandl2018",
    "leakage": "dermoscope.studies.leakage",
    "repeatability": "dermoscope.studies.repeatability",
    "winkler2019": "dermoscope.studies.winkler2019",
}


def find(name: str) -> Study:
    """A study by its name. Raises InputError, listing what there is."""
    if name not in STUDIES:
        raise InputError(f"no study {name!r}; there are {', '.join(STUDIES)}")
    study: Study = import_module(STUDIES[name]).STUDY
    return study
