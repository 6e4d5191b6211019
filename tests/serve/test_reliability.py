"""Short forms of what `make reliability` runs in full."""

import json
from pathlib import Path

import faults
import kills
import load
import pytest
import reliability


def test_load_is_measured_through_http_beside_the_predictor(tmp_path: Path) -> None:
    found = load.measure(tmp_path, images=8, rounds=1, seconds=0.5, half_s=2.0, soak_s=3.0)
    assert len(found.saturation.service) == 1
    assert len(found.saturation.direct) == 2
    assert found.saturation.ratio > 0
    assert found.half.requests > 0
    assert found.half.p50 <= found.half.p99
    assert len(found.half.draws) == load.DRAWS
    assert all(0 < p50 <= p99 for p50, p99 in found.half.draws)
    assert found.half.queue[0] >= found.half.direct
    assert found.half.refused == found.even.refused == 0
    assert found.soak is not None
    assert found.soak.refused == 0
    assert found.soak.early > 50
    assert [row[0].split()[0] for row in load.rows(found)] == ["saturation,", "half", "half", "soak"]


def test_a_ratio_stands_beside_the_rounds_around_it() -> None:
    full = load.Saturation((8.0, 9.0), (10.0, 10.0, 20.0))
    assert full.ratios == pytest.approx((0.8, 0.6))
    assert full.ratio == pytest.approx(0.7)


def test_what_is_claimed_is_what_is_judged() -> None:
    half = load.HalfLoad(rate=5, requests=9, p50=0.15, p99=0.5, direct=0.1, refused=0)
    assert half.fine
    assert not load.HalfLoad(5, 9, 0.151, 0.5, 0.1, 0).fine
    assert not load.HalfLoad(5, 9, 0.15, 0.51, 0.1, 0).fine
    assert not load.HalfLoad(5, 9, 0.15, 0.5, 0.1, 1).fine
    assert load.Soak(15, 1, 0, early=100, late=105, most=130).flat
    assert not load.Soak(15, 1, 0, early=100, late=106, most=130).flat


def test_arrivals_come_at_their_rate() -> None:
    due = load.arrivals(50, 40, seed=3)
    assert due == sorted(due)
    assert len(due) == pytest.approx(2000, rel=0.1)
    assert due != load.arrivals(50, 40, seed=4)


def test_a_queue_alone_is_what_requests_wait_for_each_other() -> None:
    assert load.queued([0.0, 1.0, 1.1, 5.0], 0.5) == pytest.approx([0.5, 0.5, 0.9, 0.5])
    assert load.queued(load.evenly(4, 3), 0.2) == pytest.approx([0.2] * 11)


def test_kills_under_load_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    found = kills.killed(tmp_path, 3)
    assert found.kills == 3
    assert found.batches > 0
    assert found.fine, found


@pytest.mark.parametrize("name", faults.FAULTS)
def test_a_fault_is_told_in_words_and_gone_through(name: str, tmp_path: Path) -> None:
    try:
        found = faults.FAULTS[name](tmp_path / name)
    except faults.CannotError as error:
        pytest.skip(str(error))
    assert found.fine, found


def test_parts_that_are_not_run_keep_their_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reliability, "KEPT", tmp_path / "kept.json")
    monkeypatch.setattr(reliability, "PAGE", tmp_path / "page.md")
    rows = (("fault", "told"), ("disk", "507: a | b"))
    reliability.keep("faults", reliability.Part("Faults", "Made for real.", rows, True))
    reliability.keep("load", reliability.Part("Load", "Through HTTP.", rows, False))
    page = (tmp_path / "page.md").read_text()
    assert page.index("## Faults") < page.index("## Load")
    assert "| disk | 507: a \\| b |" in page
    assert page.count("**Not everything is as it should be.**") == 1
    assert set(json.loads((tmp_path / "kept.json").read_text())) == {"faults", "load"}


def test_the_page_is_that_of_the_kept_figures() -> None:
    held = json.loads(reliability.KEPT.read_text())
    assert reliability.page(held) == reliability.PAGE.read_text()


def test_half_load_is_judged_at_random_and_evenly() -> None:
    fast = load.HalfLoad(10.0, 100, 0.05, 0.08, 0.04, 0)
    slow = load.HalfLoad(10.0, 100, 0.09, 0.40, 0.04, 0, (0.05, 0.25))
    full = load.Saturation((9.0,), (10.0, 10.0))

    assert load.Loaded(full, half=fast, even=fast, soak=None).fine
    assert not load.Loaded(full, half=slow, even=fast, soak=None).fine
    assert not load.Loaded(full, half=fast, even=slow, soak=None).fine
    lost = load.HalfLoad(10.0, 100, 0.05, 0.08, 0.04, 1)
    assert not load.Loaded(full, half=lost, even=fast, soak=None).fine
    assert "a queue alone has 1.25 and 6.25" in load.rows(load.Loaded(full, slow, fast, None))[1][1]
    many = load.HalfLoad(10.0, 100, 0.05, 0.08, 0.04, 0, (0.05, 0.25), ((1.2, 4.5), (1.4, 4.0)))
    assert "1.20 to 1.40 and 4.00 to 4.50 in 2 draws" in load.rows(load.Loaded(full, many, fast, None))[1][1]
