"""Where networks run: a GPU where there is one, else the CPU, in the same loop. Noise is always drawn on the CPU.

One process runs on one device. Several GPUs serve several jobs, one process a job, each told its own: `--device
cuda:1`, or `CUDA_VISIBLE_DEVICES` and `cuda`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from synthesizers.errors import PlanError

if TYPE_CHECKING:
    import torch

DEVICES = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")


def check_device(asked: str) -> None:
    """Refuse a device that is not one, or not here; of "auto" and "cpu" nothing need be known. Raises PlanError."""
    if not DEVICES.fullmatch(asked):
        raise PlanError(
            "The device is none.",
            why="Networks run on one device.",
            fix="Choose auto, cpu, cuda, or cuda:N for one of several; nothing was charged.",
        )
    if not asked.startswith("cuda"):
        return
    import torch  # takes seconds, which no other plan should wait for

    if not torch.cuda.is_available():
        raise PlanError(
            "There is no CUDA device on this machine.",
            why="--device cuda asks for one; nothing was charged.",
            fix="Leave it out, to use a GPU where there is one and the CPU elsewhere.",
        )
    if int(asked.removeprefix("cuda").removeprefix(":") or 0) >= torch.cuda.device_count():
        raise PlanError(
            f"There are {torch.cuda.device_count()} CUDA devices on this machine, numbered from 0.",
            why=f"--device {asked} asks for another; nothing was charged.",
            fix="Choose one that is there.",
        )


def torch_device(asked: str) -> torch.device:
    """The device of "auto", "cpu", "cuda" or "cuda:N"."""
    import torch

    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(asked)
