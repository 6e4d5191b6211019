"""dermoscope reads dermoscopic images of skin lesions and says how sure it may be.

Research software: not a medical device, no diagnosis without a physician.

The names below are imported when they are first used, so that `dermoscope --help` needs neither numpy nor pydantic.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dermoscope.core.cases import Case, CaseSet
    from dermoscope.core.probabilities import Prior, Probabilities, Scores
    from dermoscope.core.taxonomy import ISIC2018, ISIC2019, Taxonomy
    from dermoscope.core.truth import Truth
    from dermoscope.data.readers import read_cases
    from dermoscope.predict.predictor import Predictor

__version__ = "0.1.0"

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""ONNX Runtime 1.31 and later tells its maker what is run, unless this is said before it is imported."""

_HOMES = {
    "Case": "core.cases",
    "CaseSet": "core.cases",
    "ISIC2018": "core.taxonomy",
    "ISIC2019": "core.taxonomy",
    "Predictor": "predict.predictor",
    "Prior": "core.probabilities",
    "Probabilities": "core.probabilities",
    "Scores": "core.probabilities",
    "Taxonomy": "core.taxonomy",
    "Truth": "core.truth",
    "read_cases": "data.readers",
}

__all__ = [
    "ISIC2018",
    "ISIC2019",
    "Case",
    "CaseSet",
    "Predictor",
    "Prior",
    "Probabilities",
    "Scores",
    "Taxonomy",
    "Truth",
    "read_cases",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dermoscope' has no attribute {name!r}")
    return getattr(import_module(f"dermoscope.{_HOMES[name]}"), name)
