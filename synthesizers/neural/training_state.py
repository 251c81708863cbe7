"""A training loop between two steps, as bytes: what a run that goes on starts from.

Everything in it was computed from answers of the filter and from public randomness: post-processing. It is read with
`weights_only`, which builds tensors and plain containers and nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class Stateful(Protocol):
    """A module or an optimizer."""

    def state_dict(self) -> Mapping[str, Any]:
        """Its state."""
        ...

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take a state on."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a loop changes.

    Attributes:
        parts: modules and optimizers, by name.
        rng: what it draws from.
    """

    parts: Mapping[str, Stateful]
    rng: torch.Generator

    def packed(self, step: int, **tensors: Tensor) -> bytes:
        """The state after so many steps, and whatever else the loop has gathered."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        content = io.BytesIO()
        torch.save({"step": step, "parts": states, "rng": self.rng.get_state(), "tensors": tensors}, content)
        return content.getvalue()

    def restore(self, content: bytes) -> tuple[int, dict[str, Tensor]]:
        """Take on what `packed` wrote; the number of steps done, and the tensors, on the CPU."""
        read = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(read["parts"][name])
        self.rng.set_state(read["rng"])
        return int(read["step"]), dict(read["tensors"])
