"""Settings of the site: kept in the database, changed by an admin, every change recorded. The last change counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Prior
from dermoscope.predict.bundle import Bundle
from dermoscope.refine.prevalence import OWN, SiteSetting, own, setting_named, site_prior
from dermoscope.serve.accounts import LANGUAGES
from dermoscope.serve.tables import Change
from dermoscope.serve.trail import record

if TYPE_CHECKING:
    from dermoscope.serve.desk import Desk

Mode = Literal["silent", "study", "open"]
Order = Literal["human_first", "ai_first"]
MODES: tuple[Mode, ...] = get_args(Mode)
ORDERS: tuple[Order, ...] = get_args(Order)
LONGEST_NOTICE = 600
FIRST = "first start"
"""Who sets the mode before an admin does."""


@dataclass(frozen=True)
class Site:
    """How this site works.

    `mode`: `silent` stores answers and shows them to nobody, in a `study` everybody reads for himself, `open` is a
    clinic that reads together. `order` says whether the reader or the model speaks first. `prevalence` is a setting of
    `refine.prevalence` by name, with numbers where it is `own`. `notice` says what the service may be used for, by
    language; without one the catalogue's text stands.
    """

    mode: Mode = "open"
    order: Order = "human_first"
    prevalence: Mapping[str, Any] = field(default_factory=lambda: {"name": "referral_centre"})
    notice: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueRuleError(f"no mode {self.mode!r}; there are {', '.join(MODES)}")
        if self.order not in ORDERS:
            raise ValueRuleError(f"no reading order {self.order!r}; there are {', '.join(ORDERS)}")
        setting = _setting(self.prevalence)
        kept = {"name": setting.name, "malignant": setting.malignant, "melanoma": setting.melanoma}
        object.__setattr__(self, "prevalence", kept)
        stray = sorted(set(self.notice) - set(LANGUAGES))
        long = [language for language, text in self.notice.items() if len(text) > LONGEST_NOTICE]
        if stray or long:
            raise ValueRuleError(
                f"a notice of at most {LONGEST_NOTICE} characters can be given in {', '.join(LANGUAGES)}; correct it"
            )

    @property
    def setting(self) -> SiteSetting:
        """The prevalence as a value of `refine.prevalence`."""
        return _setting(self.prevalence)


NAMES = ("mode", "order", "prevalence", "notice")
_LAST = select(Change.name, Change.value).where(Change.id.in_(select(func.max(Change.id)).group_by(Change.name)))


def read_site(session: Session) -> Site:
    """The settings as they are now."""
    held = {name: value["is"] for name, value in session.execute(_LAST)}
    return Site(**{name: value for name, value in held.items() if name in NAMES})


def change(desk: "Desk", name: str, value: Any) -> Site:
    """Change one setting. Raises ForbiddenError for whoever is no admin, ValueRuleError for what cannot be."""
    desk.person.require("admin")
    if name not in NAMES:
        raise ValueRuleError(f"no setting {name!r}; there are {', '.join(NAMES)}")
    try:
        made = replace(desk.site, **{name: value})
    except (TypeError, AttributeError, KeyError):
        raise ValueRuleError(f"setting {name!r} cannot be {value!r}") from None
    before, after = getattr(desk.site, name), getattr(made, name)
    if before != after:
        desk.session.add(Change(name=name, value={"is": after}, made_by=desk.person.name))
        desk.record("setting.changed", f"setting/{name}", before=before, after=after)
    return made


def history(desk: "Desk", most: int = 100) -> list[Change]:
    """The last changes, the newest first."""
    return list(desk.session.scalars(select(Change).order_by(Change.id.desc()).limit(most)))


def first_start(session: Session, *, no_login: bool) -> None:
    """The first start of a service with accounts is silent: nobody is shown what nobody has looked at yet.

    So is that of a service which was tried without login before, unless an admin has chosen a mode.
    """
    last = session.scalar(select(Change).where(Change.name == "mode").order_by(Change.id.desc()).limit(1))
    mode = "open" if no_login else "silent"
    if last is None or (not no_login and last.made_by == FIRST and last.value["is"] != mode):
        session.add(Change(name="mode", value={"is": mode}, made_by=FIRST))
        before = None if last is None else last.value["is"]
        record(session, FIRST, "setting.changed", "setting/mode", before=before, after=mode)


def prior_of(site: Site, bundle: Bundle) -> Prior:
    """The mix of diagnoses at the site, for a bundle."""
    return site_prior(site.setting, bundle.prior("calibration"))


def _setting(prevalence: Mapping[str, Any]) -> SiteSetting:
    if prevalence.get("name") != OWN:
        return setting_named(str(prevalence.get("name")))
    try:
        malignant, melanoma = float(prevalence["malignant"]), float(prevalence["melanoma"])
    except (KeyError, TypeError, ValueError):
        raise ValueRuleError(
            "own numbers need `malignant` and `melanoma`: their shares among the lesions seen, above 0 and below 1"
        ) from None
    return own(malignant, melanoma)
