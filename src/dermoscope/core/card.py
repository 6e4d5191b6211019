"""The model card: what a bundle was made of, what it may be used for, and how good it was found to be."""

from typing import Any

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
    """Model card (after Mitchell et al. 2019, "Model Cards for Model Reporting")."""

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
    figures: tuple[Figures, ...] = ()
