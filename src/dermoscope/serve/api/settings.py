"""Settings of the site: read by everybody, changed by an admin, every change recorded."""

import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from dermoscope.refine.prevalence import OWN, SITES, SiteSetting
from dermoscope.serve import site
from dermoscope.serve.accounts import LANGUAGES
from dermoscope.serve.api.frame import routes
from dermoscope.serve.api.schemas import shown, taken
from dermoscope.serve.api.words import TEXT
from dermoscope.serve.depends import AdminAsking, Asking, Serving
from dermoscope.serve.desk import Desk
from dermoscope.serve.texts import Texts
from dermoscope.serve.wording import notice

router, tag = routes("settings", "How the site works, and who changed it when.")

_SETTING = {"name": "referral_centre", "malignant": 0.491, "melanoma": 0.23, "source": "BCN20000 …"}


class PrevalenceOut(BaseModel):
    """How common malignant lesions are at a site: shares of the lesions that are looked at, and who counted them."""

    model_config = shown(_SETTING)

    name: str
    malignant: float
    melanoma: float
    source: str

    @classmethod
    def of(cls, setting: SiteSetting) -> "PrevalenceOut":
        """The setting as the API tells it."""
        return cls.model_validate(setting, from_attributes=True)


class SettingsOut(BaseModel):
    """How the site works now, and the prevalences that it can choose by name."""

    model_config = shown(
        {
            "mode": "open",
            "order": "human_first",
            "prevalence": _SETTING,
            "notice": {"en": "For clinical research …", "de": "Für klinische Forschung …"},
            "known": [_SETTING],
        }
    )

    mode: site.Mode
    order: site.Order
    prevalence: PrevalenceOut
    notice: dict[str, str] = Field(description="What the service may be used for, by language.")
    known: list[PrevalenceOut]

    @classmethod
    def of(cls, desk: Desk) -> "SettingsOut":
        """The settings of this transaction."""
        now = site.read_site(desk.session)
        return cls(
            mode=now.mode,
            order=now.order,
            prevalence=PrevalenceOut.of(now.setting),
            notice={language: notice(now, Texts.load(language)) for language in LANGUAGES},
            known=[PrevalenceOut.of(setting) for setting in SITES.values()],
        )


PartOfAll = Annotated[float, Field(gt=0, lt=1, strict=True)]
Paragraph = Annotated[str, Field(max_length=site.LONGEST_NOTICE, pattern=TEXT)]


class KnownIn(BaseModel):
    """A known prevalence by its name."""

    model_config = taken({"name": "general_practice"})

    name: Annotated[str, Field(json_schema_extra={"enum": list(SITES)})]


class OwnIn(BaseModel):
    """Shares that the site has counted itself; melanoma is at most as common as malignant."""

    model_config = taken({"name": OWN, "malignant": 0.2, "melanoma": 0.06})

    name: Literal["own"]
    malignant: PartOfAll
    melanoma: PartOfAll


class NoticeIn(BaseModel):
    """The site's own notice; a language without one has the text of the service."""

    model_config = taken({"en": "For the study DERM-7, approved by the ethics committee of …"})

    en: Paragraph = ""
    de: Paragraph = ""


class SettingsIn(BaseModel):
    """What is to be changed; what is not given stays."""

    model_config = taken({"mode": "study"})

    mode: site.Mode | None = None
    order: site.Order | None = None
    prevalence: OwnIn | KnownIn | None = None
    notice: NoticeIn | None = None


class ChangeOut(BaseModel):
    """One change of a setting."""

    model_config = shown({"name": "mode", "value": "study", "made_at": "2026-03-31T09:30:00Z", "made_by": "R1"})

    name: str
    value: Any
    made_at: datetime.datetime
    made_by: str


class ChangesOut(BaseModel):
    """The last changes, the newest first."""

    model_config = shown(
        {"changes": [{"name": "mode", "value": "study", "made_at": "2026-03-31T09:30:00Z", "made_by": "R1"}]}
    )

    changes: list[ChangeOut]


@router.get("/settings", response_model=SettingsOut)
def show_settings(service: Serving, person: Asking) -> SettingsOut:
    """How the site works now."""
    with service.looking(person) as desk:
        return SettingsOut.of(desk)


@router.put("/settings", response_model=SettingsOut)
def change_settings(service: Serving, person: AdminAsking, wanted: SettingsIn) -> SettingsOut:
    """Change settings; only an admin may. Answers that were given before stay as they were recorded."""
    given = wanted.model_dump(exclude_none=True)
    with service.desk(person) as desk:
        for name, value in given.items():
            site.change(desk, name, {k: v for k, v in value.items() if v} if name == "notice" else value)
        desk.session.flush()
        return SettingsOut.of(desk)


@router.get("/settings/changes", response_model=ChangesOut)
def show_changes(service: Serving, person: Asking) -> ChangesOut:
    """Who changed what, the newest first; at most a hundred."""
    with service.looking(person) as desk:
        found = [
            ChangeOut(name=c.name, value=c.value.get("is"), made_at=c.made_at, made_by=c.made_by)
            for c in site.history(desk)
        ]
    return ChangesOut(changes=found)
