"""The head of a frozen backbone: a linear layer, fitted on embeddings that were computed before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import nn
from torch.nn import functional as F

from dermoscope.core.errors import TrainingError
from dermoscope.train.loop import Progress, cross_entropy
from dermoscope.train.recipes import Recipe


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of every view of every case, the diagnosis of each case, and how often each is drawn.

    `held` says which diagnoses the source of a case can hold; None is all, the plain softmax.
    """

    features: Float[np.ndarray, "views cases features"]
    labels: Int[np.ndarray, " cases"]
    shares: Float[np.ndarray, " cases"]
    held: Bool[np.ndarray, "cases diagnoses"] | None = None


def fit_head(head: nn.Linear, recipe: Recipe, data: Embedded, progress: Progress | None = None) -> None:
    """Train a linear head in place: AdamW, one cycle over the recipe's phases, a random view of each case drawn.

    Raises TrainingError when the loss is no longer a number.
    """
    features = torch.from_numpy(data.features)
    labels = torch.tensor(data.labels)  # a copy: a case set lends its labels read-only
    held = None if data.held is None else torch.tensor(data.held)
    optimiser = torch.optim.AdamW(head.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    epochs = sum(count for count, _ in recipe.phases)
    steps = max(1, len(labels) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, epochs * steps)
    shares = torch.from_numpy(data.shares)
    generator = torch.Generator().manual_seed(recipe.seed)
    for epoch in range(epochs):
        drawn = torch.multinomial(shares, steps * recipe.batch, replacement=True, generator=generator)
        view = torch.randint(0, len(features), (len(drawn),), generator=generator)
        for rows, which in zip(drawn.split(recipe.batch), view.split(recipe.batch), strict=True):
            x = F.dropout(features[which, rows], recipe.dropout)
            allowed = None if held is None else held[rows]
            loss = cross_entropy(head(x), labels[rows], allowed, recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        if not loss.isfinite():
            raise TrainingError(
                f"the loss became {loss.item()} in epoch {epoch + 1}; lower the rate (--set rate=...) and train into "
                "another --out"
            )
        if progress is not None:
            progress("head", epoch + 1, epochs)


def linear_head(
    recipe: Recipe, data: Embedded, diagnoses: int
) -> tuple[Float[np.ndarray, "diagnoses features"], Float[np.ndarray, " diagnoses"]]:
    """Weight and bias of a new head: logits are `embedding @ weight.T + bias`. Raises TrainingError as `fit_head`."""
    torch.manual_seed(recipe.seed)
    head = nn.Linear(data.features.shape[2], diagnoses)
    with _one_thread():
        fit_head(head, recipe, data)
    return head.weight.detach().numpy(), head.bias.detach().numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Inside, torch uses one thread: so small a layer gains nothing from more, and they wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
