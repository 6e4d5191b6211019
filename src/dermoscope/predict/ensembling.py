"""Several bundles as one: an ensemble is an ordinary bundle with more than one member."""

from collections.abc import Mapping

import numpy as np

from dermoscope.core.card import Card, DataUse
from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.probabilities import Prior
from dermoscope.core.taxonomy import MergeMap, Taxonomy
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.fitting import concerning
from dermoscope.predict.manifest import FORMAT, Member
from dermoscope.refine.calibrate import Scaling, calibration_as_dict
from dermoscope.refine.ensemble import KINDS, check_once, shares_of


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
    is calibrated by a temperature and biases enters as it stands there: its members then mean the same as the others
    before their mean, as Steppan & Hanke 2021 correct the prior of each model first. Views and the default prior are
    those of the first. `onto` projects the bundles over its source onto its target.

    Raises ValueRuleError where one model is given twice without weights, taxonomies differ and `onto` does not bring
    them together, a weight is missing or not above 0, or there is no such mean.
    """
    shares = _shares(bundles, weights, kind)
    first = next(iter(bundles.values()))
    taxonomy = first.taxonomy if onto is None else onto.target
    members: list[Member] = []
    graphs, arrays = dict[str, bytes](), dict[str, np.ndarray]()
    for given, bundle in bundles.items():
        merge = _merge(given, bundle, taxonomy, onto)
        for member in bundle.members:
            entered = _entered(given, bundle, member, shares[given], merge)
            members.append(entered)
            graphs[entered.file] = bundle.graphs[member.file]
            arrays |= {} if merge else _head(bundle, member, entered.name)
    manifest = first.manifest.model_copy(
        update={
            "format": FORMAT,
            "name": name,
            "taxonomy": taxonomy.name,
            "diagnoses": tuple((d.code, d.name, d.group) for d in taxonomy.diagnoses),
            "members": tuple(members),
            "mean": kind,
            "calibration": calibration_as_dict(Scaling.identity(len(taxonomy))),
            "calibration_prior": tuple(Prior.uniform(taxonomy).values),
            "training_counts": _counts(first, onto),
            "decision": {**first.manifest.decision, "codes": concerning(taxonomy)},
            "served": False,
            "files": {},
        }
    )
    return Bundle(manifest, graphs, arrays, _card(name, bundles))


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


def _entered(given: str, bundle: Bundle, member: Member, share: float, merge: tuple[int, ...]) -> Member:
    """A member under its new name, with its part of the bundle's weight, brought to the bundle's calibration prior."""
    name = given if len(bundle.members) == 1 else f"{given}-{member.name}"
    fields = {
        "name": name,
        "file": f"{name}.onnx",
        "weight": share * member.weight / sum(m.weight for m in bundle.members),
        "origin": member.origin or bundle.sha256,
        "merge": merge or member.merge,
    }
    scaling = bundle.pipeline.calibration
    if isinstance(scaling, Scaling) and np.ptp(scaling.scale) == 0 and not fields["merge"]:
        before = np.array(member.bias) if member.bias else np.zeros(len(scaling.bias))
        scale = float(scaling.scale[0])
        fields |= {"temperature": member.temperature / scale, "bias": tuple(scale * before + scaling.bias)}
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
