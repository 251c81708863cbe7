"""Where networks run: a GPU where there is one, else the CPU, in the same loop. Noise is always drawn on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthesizers.errors import PlanError

if TYPE_CHECKING:
    import torch


def check_device(asked: str) -> None:
    """Raises PlanError where "cuda" is asked for and there is none; of "auto" and "cpu" nothing need be known."""
    if asked != "cuda":
        return
    import torch  # takes seconds, which no other plan should wait for

    if not torch.cuda.is_available():
        raise PlanError(
            "There is no CUDA device on this machine.",
            why="--device cuda asks for one; nothing was charged.",
            fix="Leave it out, to use a GPU where there is one and the CPU elsewhere.",
        )


def torch_device(asked: str) -> torch.device:
    """The device of "auto", "cpu" or "cuda"."""
    import torch

    return torch.device("cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu")
