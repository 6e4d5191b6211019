"""The detector of ink and rulers: what it learns from, how its cuts are chosen, that its file says what torch says."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dermoscope.core.errors import TrainingError
from dermoscope.data.synthetic import draw, encode
from dermoscope.predict.session import Session
from dermoscope.train.detector import Marks, chosen_cuts, fit, shares_above, to_graph
from dermoscope.train.detector_pictures import UNJUDGED, Lesson, batches, draw_lesson, marked


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bare")
    out = []
    for seed in range(3):
        out.append(folder / f"{seed}.jpg")
        out[-1].write_bytes(encode(draw(seed, "NV", (200, 150)).pixels))
    return out


@pytest.fixture(scope="module")
def lesson(paths: list[Path]) -> Lesson:
    return draw_lesson(paths, 64, 3)


def test_a_lesson_holds_both_kinds_and_comes_again(paths: list[Path], lesson: Lesson) -> None:
    assert lesson.pictures.shape == (64, 128, 128, 3)
    assert lesson.truth.shape == (64, 2, 64, 64)
    assert set(np.unique(lesson.truth)) == {0, 1, UNJUDGED}
    drawn = (lesson.truth == 1).any(axis=(2, 3)).mean(axis=0)
    assert ((drawn > 0.2) & (drawn < 0.7)).all()
    again = draw_lesson(paths, 64, 3, workers=1)
    assert (again.pictures == lesson.pictures).all()
    assert (again.truth == lesson.truth).all()
    assert (draw_lesson(paths, 64, 4).pictures != lesson.pictures).any()


def test_nothing_drawn_is_nothing_asked() -> None:
    class Never(np.random.Generator):
        def random(self, *_: object, **__: object) -> float:  # type: ignore[override]
            return 0.999

    _, truth = marked(draw(5, "NV", (200, 150)).pixels, Never(np.random.PCG64(0)))
    assert not truth.any()


def test_batches_go_through_all_once(lesson: Lesson) -> None:
    seen = [p for pictures, _ in batches(lesson, 16, np.random.default_rng(0)) for p in pictures]
    assert sorted(p.sum() for p in seen) == sorted(p.sum() for p in lesson.pictures)


def test_training_finds_what_was_drawn(lesson: Lesson) -> None:
    steps = []
    network = fit(lesson, 30, 0, told=lambda k, n: steps.append((k, n)))
    assert steps[-1] == (60, 60)
    with torch.inference_mode():
        logits = network(torch.from_numpy(lesson.pictures)).numpy()
    assert np.median(logits[lesson.truth == 1]) > np.median(logits[lesson.truth == 0]) + 1


def test_the_file_says_what_torch_says(paths: list[Path]) -> None:
    torch.manual_seed(0)
    network = Marks().eval()
    with torch.no_grad():
        for buffer in network.buffers():  # a normalisation that does something
            if buffer.is_floating_point():
                buffer.add_(torch.rand_like(buffer))
    graph = to_graph(network)
    assert len(graph) < 300_000
    pictures = np.random.default_rng(1).integers(0, 256, (1, 128, 200, 3)).astype(np.uint8)
    found = Session.load(graph, threads=1).run(pictures, ("logits",))[0]
    with torch.inference_mode():
        assert np.abs(found - network(torch.from_numpy(pictures)).numpy()).max() < 0.05  # weights of 16 bits
    shares = shares_above(network, paths, [-99.0, 99.0])
    assert shares.shape == (3, 2, 2)
    assert (shares[..., 0] == 1).all()
    assert (shares[..., 1] == 0).all()


def test_cuts_are_the_lowest_that_flag_few() -> None:
    shares = np.zeros((4, 2, 3))
    shares[:, 0] = [[0.3, 0.02, 0.0], [0.2, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.0]]
    shares[:, 1] = 0.004
    assert chosen_cuts(shares, (0.0, 1.0, 2.0), (0.01, 0.005), 0.25) == [1.0, 0.0]
    assert chosen_cuts(shares, (0.0, 1.0, 2.0), (0.01, 0.005), 0.0) == [2.0, 0.0]
    with pytest.raises(TrainingError, match="are flagged at every cut"):
        chosen_cuts(shares, (0.0, 1.0, 2.0), (0.01, 0.001), 0.25)
