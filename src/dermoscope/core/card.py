"""The model card: what a bundle was made of, what it may be used for, and how good it was found to be."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dermoscope.core.estimate import Estimate


class DataUse(BaseModel):
    """One data set in the training: its licence, roles and images per diagnosis."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    licence: str
    citation: str
    roles: tuple[str, ...]
    images: int = Field(ge=0)
    lesions: int = Field(ge=0)
    images_per_diagnosis: dict[str, int]


class Figures(BaseModel):
    """Measured figures of one split: what was scored, how often that split was looked at, and the estimates."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    title: str
    split: str
    date: str
    scorings: int = Field(ge=0, description="how often this role has been scored, this time included")
    estimates: dict[str, dict[str, Any]]

    def get(self, name: str) -> Estimate:
        """One estimate by its name. Raises KeyError for a name that was not measured."""
        return Estimate.from_dict(self.estimates[name])


class Card(BaseModel):
    """Model card (after Mitchell et al. 2019, "Model Cards for Model Reporting").

    `operating_point` is what the decision rule does on the cases it was fitted on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str
    licence: str
    intended_use: str
    not_for: tuple[str, ...] = ()
    not_in_training: tuple[str, ...] = ()
    data: tuple[DataUse, ...] = ()
    recipe: dict[str, Any] = Field(default_factory=dict)
    run: dict[str, Any] = Field(default_factory=dict)
    prediction: str = ""
    decision: str = ""
    operating_point: Figures | None = None
    figures: tuple[Figures, ...] = ()


class RunCard(BaseModel):
    """What a training run was: enough to repeat it and to know whether two runs may be compared.

    `state` is `running` until the bundle stands; `why` says what ended a run that is `stopped`. `data` holds `name`,
    `given` (name or path as it was asked for), `sha256` (content of the images, ids and labels), `sources`
    (SHA-256 of the source of each, in newer cards), `images`, `lesions` and `split` (SHA-256 of a split file, or "hash
    of the lesion"). `recipe` holds every setting, `code` the version and commit, `environment` the machine and its
    packages. `bundles` maps `chosen` and `bundle` to their SHA-256, `figures` what they reached on validation. Times
    are ISO 8601 in UTC, `seconds` the time spent, resumed parts too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    name: str
    state: Literal["running", "stopped", "finished"] = "running"
    why: str = ""
    started: str
    changed: str
    seconds: float = 0.0
    seed: int
    data: dict[str, Any]
    recipe: dict[str, Any]
    code: dict[str, Any]
    environment: dict[str, Any]
    bundles: dict[str, str] = Field(default_factory=dict)
    figures: tuple[Figures, ...] = ()
