"""The student of PATE-GAN: a critic that sees generated rows and noisy votes on them, and never a real row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from privacy.mechanisms import Integers
from synthesizers.neural.cells import Cells
from synthesizers.neural.networks import Critic

LEARNING_RATE = 2e-3
PENALTY = 1e-3
BATCH = 1024
SPREAD = 3.0
"""How much further from their mean shares are taken to be."""


@dataclass(slots=True)
class Student:
    """A critic and everything the teachers have said so far.

    Attributes:
        critic: the network.
        cells: the layout of its input.
        rows: places of the generated rows that were voted on, shape (m, d).
        shares: noisy share of teachers that called each real, shape (m,); not cut to [0, 1], hence without bias.
    """

    critic: Critic
    cells: Cells
    rows: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]

    def hear(self, rows: npt.NDArray[np.int64], votes: Integers, n_teachers: int) -> None:
        """Add noisy votes on rows."""
        self.rows = np.concatenate([self.rows, rows])
        self.shares = np.concatenate([self.shares, votes / n_teachers])

    def learn(self, steps: int, rng: torch.Generator) -> None:
        """Fit the critic to all votes, from where it is.

        The loss is cross-entropy with a share in place of a label: it is linear in the share, so noise with mean zero
        leaves its expectation alone. Shares of weak teachers lie close together, so they are spread out around their
        mean first; a spread-out share may leave [0, 1], the average ones that a row's neighbours have do not.
        """
        device = next(self.critic.parameters()).device
        optimizer = torch.optim.AdamW(self.critic.parameters(), lr=LEARNING_RATE, weight_decay=PENALTY)
        places = torch.from_numpy(self.rows).to(device)
        spread = 0.5 + SPREAD * (self.shares - self.shares.mean())
        shares = torch.tensor(spread, dtype=torch.float32, device=device)
        for _ in range(steps):
            picked = torch.randint(len(places), (BATCH,), generator=rng, device=device)
            odds = self.critic(self.cells.one_hot(places[picked]))
            loss = (torch.nn.functional.softplus(odds) - shares[picked] * odds).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def loss_of(self, drawn: Tensor) -> Tensor:
        """The generator's loss: how sure the student is that drawn rows are generated."""
        return torch.nn.functional.softplus(-self.critic(drawn)).mean()
