"""The recipes of Steppan & Hanke 2021: what they say, and one step of each network."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dermoscope.train.loop import shipping_stages, stages
from dermoscope.train.networks import Reader, build, parameter_groups
from dermoscope.train.recipes import recipe
from dermoscope.train.steppan2021 import RECIPES

PUBLISHED = {"se-resnext101": 299, "efficientnet-b4": 380, "efficientnet-b5": 456, "inception-resnet-v2": 299}
SMALLEST = {"steppan2021/inception-resnet-v2": 75}
"""Side of the input in px below which a network has nothing left to pool; 32 for the others."""


def test_sizes_stages_and_bounds_are_those_of_the_paper() -> None:
    assert {name.partition("/")[2]: r.size for name, r in RECIPES.items()} == PUBLISHED | {"nasnet-a-large": 299}
    for name, value in RECIPES.items():
        assert recipe(name) is value
        plan = stages(value)
        assert [(s.rate, s.head_only) for s in plan] == [
            (value.head_rate, True),
            (1e-4, False),
            (1e-5, False),
            (1e-6, False),
        ]
        assert len({s.name for s in plan}) == 4
        assert set(value.sides) == {value.size}
        assert not shipping_stages(value)
        bounds = value.augmentation
        assert (bounds.angle, bounds.zoom, bounds.vertical, bounds.cutout_p) == (45, (1, 1.05), True, 0.5)
        assert [round(share * value.size) for share in bounds.cutout] == [16, 16]
        assert [step.name for step in value.steps] == ["trim_border", "shave", "crop_logos", "pad"]
        assert value.prior == "uniform"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """On a busy machine two threads that wait for each other take several times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", RECIPES)
def test_one_step_changes_every_part_of_the_network(name: str) -> None:
    """From scratch: the weights of none of the five lie in a package."""
    torch.manual_seed(0)
    side = SMALLEST.get(name, 32)
    reader = Reader(build(recipe(name).backbone, 8, pretrained=False)).train()
    head = reader.network.get_classifier()
    assert isinstance(head, nn.Linear)
    stem = next(p for p in reader.parameters() if p.ndim == 4)
    before = head.weight.detach().clone(), stem.detach().clone()
    optimiser = torch.optim.SGD(parameter_groups(reader, 0.01), lr=0.1)
    pictures = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    loss = F.cross_entropy(reader.logits(pictures), torch.tensor([1, 4]))
    loss.backward()
    optimiser.step()
    assert loss.isfinite()
    assert all(p.isfinite().all() for p in (head.weight, stem))
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in reader.parameters())
    for now, then in zip((head.weight, stem), before, strict=True):
        assert not torch.equal(now, then)
    with torch.inference_mode():
        _, embedding, features = reader.eval()(pictures)
    assert embedding.shape == features.shape[:2] == (2, head.in_features)
