"""The manifest of a bundle: what `bundle.json` says, and how its first format is read."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from dermoscope.core.errors import RecipeError
from dermoscope.core.taxonomy import Group
from dermoscope.data.preprocess import Step, steps_as_json, steps_from_json
from dermoscope.refine.calibrate import Scaling, calibration_as_dict

FORMAT = 2
READ = (1, 2)
"""Formats that are read; what is written is `FORMAT`."""


class Member(BaseModel):
    """One network of a bundle.

    `size` is the side of its input square in px, `preprocessing` what is done to a picture before it is framed.
    `temperature` and `bias` bring it to the prior of the other members before the mean (see `refine/pipeline.py`).
    `origin` is the SHA-256 of the bundle that it came from, empty where it was trained for this one. `merge` gives, for
    every diagnosis of the network itself, the column of the bundle that it belongs to (empty: they are the same). Where
    that joins diagnoses and `bias` has one for each of the network's own, temperature and bias come before it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, pattern=r"^[\w.+-]+$")
    file: str
    size: int = Field(gt=0)
    preprocessing: tuple[dict[str, Any], ...] = ()
    weight: float = Field(default=1.0, gt=0)
    temperature: float = Field(default=1.0, gt=0)
    bias: tuple[float, ...] = ()
    origin: str = ""
    merge: tuple[int, ...] = ()

    @field_validator("preprocessing")
    @classmethod
    def _known_steps(cls, value: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        try:
            return tuple(steps_as_json(steps_from_json(value)))
        except RecipeError as error:
            raise ValueError(str(error)) from None

    @property
    def scaled_before_merge(self) -> bool:
        """Whether temperature and bias act on the network's own diagnoses."""
        return len(self.bias) == len(self.merge) > len(set(self.merge))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The preprocessing as values."""
        return steps_from_json(self.preprocessing)


class Manifest(BaseModel):
    """What `bundle.json` says. Numbers are in the taxonomy's order.

    `served` is false until the bundle has been calibrated here, and where nothing is said of it: imported models and
    bare ensembles predict, but give no answers. `known_as` maps what the identity of a bundle would be now to what it
    is known by, because it was first written in an older format; any change to the model makes it another one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    name: str
    taxonomy: str
    diagnoses: tuple[tuple[str, str, Group], ...]
    members: tuple[Member, ...] = Field(min_length=1)
    mean: str = "arithmetic"
    views: tuple[dict[str, float], ...] = Field(min_length=1, description="framings whose mean is the answer")
    calibration: dict[str, Any]
    calibration_prior: tuple[float, ...]
    training_counts: tuple[int, ...]
    default_prior: str = "calibration"
    decision: dict[str, Any]
    served: bool = False
    known_as: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str]

    @field_validator("members")
    @classmethod
    def _told_apart(cls, members: tuple[Member, ...]) -> tuple[Member, ...]:
        for kind in ("name", "file"):
            values = [getattr(m, kind) for m in members]
            if len(set(values)) < len(values):
                raise ValueError(f"two members have the same {kind}")
        return members

    @property
    def size(self) -> int:
        """Side of the largest input square in px."""
        return max(m.size for m in self.members)


def identity(manifest: Manifest, *, without: str) -> str:
    """SHA-256 over everything that the manifest says but the hash of one file."""
    now = _hash(manifest.model_dump(mode="json", exclude={"known_as"}), without)
    return manifest.known_as.get(now, now)


def from_format_1(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of the first format in the words of this one; `upgraded` does the rest.

    There a bundle had one network, temperature and biases were applied to every view before the mean, and every bundle
    was served.
    """
    kept = ("name", "taxonomy", "diagnoses", "views", "calibration_prior", "training_counts", "default_prior")
    member = {"name": "default", "file": "model.onnx", "size": raw["size"]}
    member |= {"temperature": raw["temperature"], "bias": raw["bias"]}
    unscaled = calibration_as_dict(Scaling.identity(len(raw["diagnoses"])))
    out = {key: raw[key] for key in kept if key in raw}
    return out | {
        "format": 1,
        "members": [member],
        "calibration": unscaled,
        "decision": raw["decision"],
        "served": True,
        "files": raw["files"],
        "known_as": {"before": _hash(dict(raw), "card.json")},
    }


def upgraded(manifest: Manifest) -> Manifest:
    """What `from_format_1` read, as a manifest of this format under its old identity."""
    as_now = manifest.model_copy(update={"format": FORMAT, "known_as": {}})
    known_as = {identity(as_now, without="card.json"): manifest.known_as["before"]}
    return as_now.model_copy(update={"known_as": known_as})


def _hash(content: dict[str, Any], without: str) -> str:
    content["files"] = {name: digest for name, digest in content["files"].items() if name != without}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
