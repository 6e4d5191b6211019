"""Settings: who changes them, what is kept of it, and what cannot be."""

import pytest
from sqlalchemy import select

from dermoscope.core.errors import ForbiddenError, ValueRuleError
from dermoscope.serve import site
from dermoscope.serve.accounts import Person
from dermoscope.serve.desk import Service
from dermoscope.serve.site import Site, first_start, prior_of, read_site
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Event

ADMIN, READER = Person("anna", "admin"), Person("ben", "reader")


def test_a_change_counts_at_once_and_is_recorded(service: Service) -> None:
    own = {"name": "own", "malignant": 0.2, "melanoma": 0.05}
    with service.desk(ADMIN) as desk:
        site.change(desk, "mode", "study")
        site.change(desk, "prevalence", own)
        site.change(desk, "notice", {"de": "Nur für die Studie X."})
    with service.desk(ADMIN) as desk:
        assert (desk.site.mode, dict(desk.site.prevalence)) == ("study", own)
        assert desk.site.notice == {"de": "Nur für die Studie X."}
        site.change(desk, "mode", "study")
        assert [c.name for c in site.history(desk)] == ["notice", "prevalence", "mode"]
        changes = [e for e in desk.session.scalars(select(Event)) if e.what == "setting.changed"]
        assert (changes[0].who, changes[0].details) == ("anna", {"before": "open", "after": "study"})
        assert len(changes) == 3


def test_only_an_admin_changes_a_setting(service: Service) -> None:
    with service.desk(READER) as desk, pytest.raises(ForbiddenError, match="needs the role admin"):
        site.change(desk, "mode", "open")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("mode", "loud", "no mode 'loud'"),
        ("mode", None, "no mode None"),
        ("mode", [], "no mode"),
        ("order", "both", "no reading order"),
        ("colour", "red", "no setting 'colour'"),
        ("prevalence", {"name": "moon"}, "no setting 'moon'"),
        ("prevalence", "moon", "cannot be 'moon'"),
        ("prevalence", {"name": "own"}, "own numbers need"),
        ("prevalence", {"name": "own", "malignant": "x", "melanoma": 1}, "own numbers need"),
        ("prevalence", {"name": "own", "malignant": 0.1, "melanoma": 0.2}, "at most as common"),
        ("prevalence", {"name": "own", "malignant": float("nan"), "melanoma": 0.2}, "above 0"),
        ("notice", {"fr": "x"}, "en, de"),
        ("notice", {"en": "x" * 601}, "at most 600 characters"),
        ("notice", "x", "cannot be|at most"),
        ("notice", {"en": 7}, "cannot be"),
    ],
)
def test_what_cannot_be_is_refused(service: Service, name: str, value: object, why: str) -> None:
    with service.desk(ADMIN) as desk:
        with pytest.raises(ValueRuleError, match=why):
            site.change(desk, name, value)
        assert read_site(desk.session) == Site()


def test_the_first_start_is_silent_where_others_reach_it(store: Store) -> None:
    for no_login in (False, True):  # only the very first start decides
        with store.begin() as session:
            first_start(session, no_login=no_login)
            assert read_site(session).mode == "silent"


def test_the_first_start_is_open_on_loopback(store: Store) -> None:
    with store.begin() as session:
        first_start(session, no_login=True)
        assert read_site(session).mode == "open"


@pytest.mark.parametrize(("chosen", "mode"), [(None, "silent"), ("study", "study"), ("open", "open")])
def test_what_was_open_here_is_silent_elsewhere_unless_an_admin_chose(
    service: Service, chosen: str | None, mode: str
) -> None:
    with service.store.begin() as session:
        first_start(session, no_login=True)
    if chosen is not None:
        for value in ("silent", chosen):
            with service.desk(ADMIN) as desk:
                site.change(desk, "mode", value)
    for _ in range(2):
        with service.store.begin() as session:
            first_start(session, no_login=False)
    with service.looking(ADMIN) as desk:
        assert read_site(desk.session).mode == mode
        assert sum(change.made_by == "first start" for change in site.history(desk)) == (1 if chosen else 2)


def test_the_mix_of_the_site_holds_what_was_set(service: Service) -> None:
    bundle = service.engine.predictor.bundle
    prior = prior_of(Site(prevalence={"name": "own", "malignant": 0.25, "melanoma": 0.1}), bundle)
    shares = dict(zip(prior.taxonomy.codes, prior.values, strict=True))
    assert shares["MEL"] == pytest.approx(0.1)
    assert shares["MEL"] + shares["BCC"] + shares["SCC"] == pytest.approx(0.25)
