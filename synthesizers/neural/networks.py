"""The networks: a generator of rows, and a critic that tells real rows from generated ones.

The generator is public post-processing, so it may be as large as it helps. The critic learns through noise that grows
with its number of parameters, so it is small, and has no layer in which rows meet (no batch normalisation, no packing
of rows): the gradient of a row is then its own.
Source: Xu et al. 2019, "Modeling tabular data using conditional GAN" (residual generator, conditional vector).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

LATENT = 64
"""Normal variables a generated row starts from."""


class Generator(nn.Module):
    """Latent variables and a condition to logits over the cells of all columns.

    Args:
        width: cells of all columns together.
        hidden: width of the residual layers.
        depth: number of residual layers.
        rng: draws the first weights.
    """

    def __init__(self, width: int, hidden: int, depth: int, rng: torch.Generator) -> None:
        super().__init__()
        self.width, self.hidden, self.depth = width, hidden, depth
        self.first = linear(LATENT + width, hidden, rng)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(depth))
        self.layers = nn.ModuleList(linear(hidden, hidden, rng) for _ in range(depth))
        self.last = linear(hidden, width, rng)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Logits, shape (n, width), of latent variables (n, LATENT) and conditions (n, width): one cell, or none."""
        h = self.first(torch.cat([latent, condition], 1))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            h = h + torch.relu(layer(norm(h)))
        logits: Tensor = self.last(torch.relu(h))
        return logits


class Critic(nn.Module):
    """Rows to a log-odds of being real.

    Args:
        width: cells of all columns together.
        hidden: units of its one hidden layer.
        rng: draws the first weights.
    """

    def __init__(self, width: int, hidden: int, rng: torch.Generator) -> None:
        super().__init__()
        self.first = linear(width, hidden, rng)
        self.last = linear(hidden, 1, rng)

    def forward(self, rows: Tensor) -> Tensor:
        """Log-odds, shape (n,), of rows (n, width)."""
        odds: Tensor = self.last(nn.functional.leaky_relu(self.first(rows), 0.2))[:, 0]
        return odds


def linear(n_in: int, n_out: int, rng: torch.Generator) -> nn.Linear:
    """A linear layer drawn from its own generator: torch's global one is left alone."""
    layer: nn.Linear = skip_init(nn.Linear, n_in, n_out)
    bound = 1 / math.sqrt(n_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=rng)
        layer.bias.uniform_(-bound, bound, generator=rng)
    return layer
