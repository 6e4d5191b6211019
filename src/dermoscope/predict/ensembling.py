"""Several bundles as one: an ensemble is an ordinary bundle with more than one member."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermoscope.core.card import Card, DataUse
from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.probabilities import Prior
from dermoscope.core.taxonomy import MergeMap, Taxonomy
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.fitting import concerning
from dermoscope.predict.manifest import FORMAT, Manifest, Member
from dermoscope.refine.calibrate import Scaling, calibration_as_dict
from dermoscope.refine.ensemble import KINDS, check_once, shares_of


@dataclass(frozen=True, eq=False)
class Projection:
    """How a bundle enters: the ensemble's column of each of its diagnoses (empty: the same), and what is added to the
    logarithms [diagnoses of the ensemble] to bring it to the common prior."""

    merge: tuple[int, ...]
    shift: np.ndarray


def assembled(
    bundles: Mapping[str, Bundle],
    *,
    name: str,
    weights: Mapping[str, float] | None = None,
    kind: str = "arithmetic",
    onto: MergeMap | None = None,
) -> Bundle:
    """One bundle of several, each by a name of its own; not yet calibrated, and so not to be served.

    Every bundle counts once unless `weights` says otherwise; the members of an ensemble share its weight. A bundle that
    is calibrated by a temperature and biases enters so, under the calibration prior of the first that is calibrated, so
    that members mean the same before their mean, as Steppan & Hanke 2021 correct the prior of each model first. One
    that was not calibrated enters as its network says it. Views and the default prior are those of the first. `onto`
    projects the bundles over its source onto its target.

    Raises ValueRuleError where one model is given twice without weights, taxonomies differ and `onto` does not bring
    them together, a weight is missing or not above 0, two members would have one name, or there is no such mean.
    """
    shares = _shares(bundles, weights, kind)
    first = next(iter(bundles.values()))
    taxonomy = first.taxonomy if onto is None else onto.target
    members: list[Member] = []
    graphs, arrays = dict[str, bytes](), dict[str, np.ndarray]()
    merges = {given: _merge(given, bundle, taxonomy, onto) for given, bundle in bundles.items()}
    entering = _projections(bundles, merges, len(taxonomy))
    for given, bundle in bundles.items():
        for member in bundle.members:
            entered = _entered(given, bundle, member, shares[given], entering[given])
            if entered.file in graphs:
                raise ValueRuleError(f"two members would be called {entered.name}; give a bundle another name")
            members.append(entered)
            graphs[entered.file] = bundle.graphs[member.file]
            arrays |= {} if merges[given] else _head(bundle, member, entered.name)
    manifest = _manifest(first, taxonomy, tuple(members), _counts(first, onto))
    manifest = manifest.model_copy(update={"name": name, "mean": kind})
    return Bundle(manifest, graphs, arrays, _card(name, bundles))


def _manifest(first: Bundle, taxonomy: Taxonomy, members: tuple[Member, ...], counts: tuple[int, ...]) -> Manifest:
    """That of the first bundle with these members, not yet calibrated."""
    return first.manifest.model_copy(
        update={
            "format": FORMAT,
            "taxonomy": taxonomy.name,
            "diagnoses": tuple((d.code, d.name, d.group) for d in taxonomy.diagnoses),
            "members": members,
            "calibration": calibration_as_dict(Scaling.identity(len(taxonomy))),
            "calibration_prior": tuple(Prior.uniform(taxonomy).values),
            "training_counts": counts,
            "decision": {**_unmeasured(first.manifest.decision), "codes": concerning(taxonomy)},
            "served": False,
            "files": {},
        }
    )


def _unmeasured(decision: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in decision.items() if name != "operating_point"}


def _head(bundle: Bundle, member: Member, name: str) -> dict[str, np.ndarray]:
    """The last layer of a member under its new name, where it is held."""
    held = {
        key: bundle.arrays.get(f"{member.name}.{key}", bundle.arrays.get(key)) for key in ("head_weight", "head_bias")
    }
    return {f"{name}.{key}": array for key, array in held.items() if array is not None}


def _shares(bundles: Mapping[str, Bundle], weights: Mapping[str, float] | None, kind: str) -> dict[str, float]:
    if kind not in KINDS:
        raise ValueRuleError(f"no mean is called {kind!r}; there are {some(KINDS)}")
    if weights is None:
        check_once({f"{given}/{m.name}": m.origin or b.sha256 for given, b in bundles.items() for m in b.members})
    elif set(weights) != set(bundles):
        raise ValueRuleError(f"weights of {some(weights) or 'none'} for the bundles {some(bundles)}")
    found = shares_of(np.array([1.0 if weights is None else weights[given] for given in bundles], float), len(bundles))
    shares = dict(zip(bundles, map(float, found), strict=True))
    nothing = [given for given, share in shares.items() if share == 0]
    if nothing:
        raise ValueRuleError(f"a weight of 0 for {some(nothing)}; leave it out of the ensemble")
    return shares


def _merge(given: str, bundle: Bundle, taxonomy: Taxonomy, onto: MergeMap | None) -> tuple[int, ...]:
    """Column of the ensemble for every column of the bundle; empty where they are the same."""
    if bundle.taxonomy.codes == taxonomy.codes:
        return ()
    if onto is None or bundle.taxonomy.codes != onto.source.codes:
        how = "name a projection onto one (--onto)" if onto is None else f"only {onto.source.name} can be projected"
        raise ValueRuleError(f"{given} is over {bundle.taxonomy.name}, the ensemble over {taxonomy.name}; {how}")
    return tuple(int(column) for column in onto.matrix.argmax(axis=1))


def _projections(
    bundles: Mapping[str, Bundle], merges: Mapping[str, tuple[int, ...]], diagnoses: int
) -> dict[str, Projection]:
    """How each bundle enters, those that are calibrated under the calibration prior of the first of them."""
    priors = {
        given: np.bincount(merges[given], prior, diagnoses) if merges[given] else prior
        for given, bundle in bundles.items()
        if bundle.manifest.served
        for prior in [bundle.pipeline.calibration_prior.values]
    }
    common = next(iter(priors.values()), np.ones(diagnoses))
    return {given: Projection(merge, np.log(common / priors.get(given, common))) for given, merge in merges.items()}


def _entered(given: str, bundle: Bundle, member: Member, share: float, how: Projection) -> Member:
    """A member under its new name, with its part of the bundle's weight, brought to the common calibration prior."""
    name = given if len(bundle.members) == 1 else f"{given}-{member.name}"
    fields: dict[str, Any] = {
        "name": name,
        "file": f"{name}.onnx",
        "weight": share * member.weight / sum(m.weight for m in bundle.members),
        "origin": member.origin or bundle.sha256,
        "merge": how.merge or member.merge,
    }
    scaling = bundle.pipeline.calibration
    # a member that is scaled before its projection has no room for a second scale after it
    if isinstance(scaling, Scaling) and np.ptp(scaling.scale) == 0 and not member.scaled_before_merge:
        before = np.array(member.bias) if member.bias else np.zeros(len(scaling.bias))
        scale = float(scaling.scale[0])
        shift = how.shift[list(how.merge)] if how.merge else how.shift
        fields |= {
            "temperature": member.temperature / scale,
            "bias": tuple(map(float, scale * before + scaling.bias + shift)),
        }
    return Member.model_validate({**member.model_dump(), **fields})


def _counts(bundle: Bundle, onto: MergeMap | None) -> tuple[int, ...]:
    counts = np.array(bundle.manifest.training_counts)
    if onto is not None and bundle.taxonomy.codes == onto.source.codes:
        counts = counts @ onto.matrix.astype(int)
    return tuple(int(n) for n in counts)


def _card(name: str, bundles: Mapping[str, Bundle]) -> Card:
    cards = [bundle.card for bundle in bundles.values()]
    first, rest = cards[0], cards[1:]
    data: dict[str, DataUse] = {use.model_dump_json(): use for card in cards for use in card.data}
    return Card(
        name=name,
        summary="Mean of " + "; ".join(f"{given} ({bundle.card.summary})" for given, bundle in bundles.items()),
        licence="; ".join(dict.fromkeys(part for card in cards for part in card.licence.split("; "))),
        intended_use=first.intended_use,
        not_for=tuple(dict.fromkeys(what for card in cards for what in card.not_for)),
        not_in_training=tuple(what for what in first.not_in_training if all(what in c.not_in_training for c in rest)),
        data=tuple(data.values()),
        recipe={given: bundle.card.recipe for given, bundle in bundles.items()},
        run={given: {"sha256": bundle.sha256, **bundle.card.run} for given, bundle in bundles.items()},
    )
