"""What a report measures is what `evaluate/` says, once."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Probabilities
from dermoscope.evaluate.score import evaluate
from dermoscope.report.dossier import Given, as_json, measure


def test_figures_are_those_of_evaluate(given, measured):
    assert measured.served == evaluate(given.scores, given.truth, resamples=30)
    assert measured.calibrated == evaluate(given.calibrated, given.truth, resamples=30)
    assert measured.two_priors
    assert (measured.unit, measured.n) == ("lesion", 160)
    assert sum(measured.images.values()) == 240
    assert sum(measured.units.values()) == 160


def test_groups_and_melanoma_aucs_are_of_the_same_images(measured):
    assert set(measured.groups) == {"source", "sex", "age", "site", "image size"}
    for members in measured.groups.values():
        assert sum(group.images for group in members) == 240
    assert measured.melanoma["MEL.auc"] == measured.served["MEL.auc"]
    assert {e.unit for e in measured.melanoma.values()} == {"lesion"}


def test_the_order_of_cases_changes_nothing(given, measured):
    order = np.random.default_rng(0).permutation(240)
    ids = [given.truth.ids[k] for k in order]
    shuffled = replace(given, scores=given.scores.aligned_to(ids), cases=[given.cases[k] for k in order][::-1])
    assert as_json(measure(shuffled)) == as_json(measured)


def test_json_holds_every_figure_and_is_plain(measured):
    plain = json.loads(json.dumps(as_json(measured), allow_nan=False))
    assert plain["figures"]["balanced_accuracy"] == measured.served["balanced_accuracy"].as_dict()
    assert plain["groups"]["sex"][0]["figures"]["accuracy"]["unit"] == "lesion"
    assert sum(map(sum, plain["confusion"]["counts"])) == 240
    assert sum(bin["n"] for bin in plain["reliability"]["top"]) == 240


def test_without_case_data_nothing_is_grouped(given):
    bare = measure(Given(given.scores, given.truth, resamples=5))
    assert (bare.groups, bare.melanoma, bare.two_priors) == ({}, {}, False)
    assert bare.calibrated is bare.served


def test_calibrated_predictions_of_other_images_are_named(given):
    other = Probabilities(tuple(f"x{k}" for k in range(240)), given.scores.taxonomy, given.scores.values)
    with pytest.raises(ValueRuleError, match="calibrated predictions and truth: 240 images of the truth have no score"):
        measure(replace(given, calibrated=other, resamples=2))


def test_progress_is_told_to_its_end(given):
    told = []
    measure(replace(given, resamples=2), lambda *said: told.append(said))
    assert told[0] == ("measuring", 0, 9)
    assert told[-1] == ("measuring", 9, 9)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
