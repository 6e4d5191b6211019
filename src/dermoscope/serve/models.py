"""Which model the site is served by: a bundle that is installed or lies below FOLDER/bundles, chosen by an admin.

The choice is a setting in the database, by name and SHA-256: every process follows it within seconds, and no other
files are taken for it because they have its name. Before anybody has chosen, the bundle of the start is served.
"""

import logging
import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermoscope.core.errors import BundleError, DermoscopeError, NotFoundError, some
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.predict.bundle import MANIFEST, Bundle, load
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.session import usable_cores
from dermoscope.serve.engine import Engine
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Change
from dermoscope.serve.trail import record

NAME = "model"
"""The setting."""
BUNDLES = "bundles"
"""The folder of the service whose folders may be chosen."""
_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What an admin has chosen: `number` is that of the change, so that a later one can be told from it."""

    number: int
    name: str
    sha256: str


def known(options: Options) -> dict[str, Path | None]:
    """Every name that may be chosen, and its folder; None for what is installed."""
    found: dict[str, Path | None] = {}
    for path in sorted((options.folder / BUNDLES).glob(f"*/{MANIFEST}")):
        if _FORM.fullmatch(path.parent.name):
            found[path.parent.name] = path.parent
    return {**found, **dict.fromkeys(sorted(p.name for p in entry_points(group="dermoscope.bundles")))}


def read(options: Options, name: str) -> Bundle:
    """The bundle of a name, verified. Raises NotFoundError for another name, BundleError where it cannot be served."""
    names = known(options)
    if name not in names:
        raise NotFoundError(
            f"no bundle {name[:80]!r} may be served here; there are {some(names)}. Put the folder of another one into "
            f"{BUNDLES}/ of the service's folder"
        )
    bundle = load(names[name] or name)
    bundle.check_served()
    return bundle


def choice_of(session: Session) -> Choice | None:
    """The last choice, or None."""
    last = session.scalar(select(Change).where(Change.name == NAME).order_by(Change.id.desc()).limit(1))
    return None if last is None else Choice(last.id, str(last.value["is"]["name"]), str(last.value["is"]["sha256"]))


def choose(session: Session, who: str, name: str, bundle: Bundle, served: str) -> None:
    """Write a choice down, with a line of the audit trail; `served` is the SHA-256 of the model until now."""
    before = choice_of(session)
    if before is not None and (before.name, before.sha256) == (name, bundle.sha256):
        return
    session.add(Change(name=NAME, value={"is": {"name": name, "sha256": bundle.sha256}}, made_by=who))
    old = served if before is None else before.sha256
    record(session, who, "model.changed", f"setting/{NAME}", name=name, before=old, after=bundle.sha256)


def check_same(taxonomy: Taxonomy, bundle: Bundle) -> None:
    """Raise BundleError for a bundle of other diagnoses: records and readings here are of these."""
    if bundle.taxonomy.codes != taxonomy.codes:
        raise BundleError(
            f"bundle {bundle.manifest.name!r} knows {', '.join(bundle.taxonomy.codes)}, and this site works with "
            f"{', '.join(taxonomy.codes)}; a model of other diagnoses needs a service of its own"
        )


def threads_of(options: Options) -> int:
    """Threads of the network in each process: those that were asked for, or all cores, shared out."""
    return max(1, (options.threads or usable_cores()) // options.workers)


def first(options: Options, store: Store) -> Predictor:
    """The model that a start serves: the one that was chosen, else the one of the start.

    Raises BundleError where that is damaged or not the one that was chosen, NotFoundError where it is gone.
    """
    with store.read() as session:
        chosen = choice_of(session)
    bundle = load(options.bundle) if chosen is None else _chosen(options, chosen)
    bundle.check_served()
    return Predictor.load(bundle, threads=threads_of(options))


def _chosen(options: Options, chosen: Choice) -> Bundle:
    bundle = read(options, chosen.name)
    if bundle.sha256 != chosen.sha256:
        raise BundleError(
            f"the model that was chosen for this site is {chosen.name} {chosen.sha256[:12]}, and the bundle of that "
            f"name is {bundle.sha256[:12]} by now; put the old one back, or choose: `dermoscope model use BUNDLE`"
        )
    return bundle


class Follower:
    """Brings the model of a process to what was chosen, whoever chose it, and wherever.

    `follow` is called again and again; what cannot be served is logged once, and the model before goes on.
    """

    def __init__(self, options: Options, store: Store, engine: Engine) -> None:
        self._options, self._store, self._engine = options, store, engine
        self._refused = 0

    def follow(self) -> None:
        """Look once."""
        with self._store.read() as session:
            chosen = choice_of(session)
        served = self._engine.predictor
        if chosen is None or chosen.sha256 == served.bundle.sha256 or chosen.number == self._refused:
            return
        try:
            bundle = _chosen(self._options, chosen)
            check_same(served.taxonomy, bundle)
            self._engine.swap(Predictor.load(bundle, threads=threads_of(self._options)))
        except DermoscopeError as error:
            self._refused = chosen.number
            _log.error("the model stays %s: %s", served.bundle.sha256[:12], error)


def listed(options: Options, served: str) -> list[dict[str, Any]]:
    """Every bundle that may be chosen: its name, and its SHA-256 or why it cannot be served."""
    rows: list[dict[str, Any]] = []
    for name in known(options):
        try:
            sha256: str | None = read(options, name).sha256
            problem = None
        except DermoscopeError as error:
            sha256, problem = None, str(error)
        rows.append({"name": name, "sha256": sha256, "served": sha256 == served, "problem": problem})
    return rows
