"""A network's own part of a model file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from synthesizers.coding import Coding, KeepArray, ReadArray, bad
from synthesizers.marginal.error_bounds import Uncertainty
from synthesizers.neural.cells import Cells
from synthesizers.neural.matching import Fakes, Tilt
from synthesizers.neural.model import NeuralModel
from synthesizers.neural.networks import Generator

MAX_HIDDEN, MAX_DEPTH = 4096, 64


def parts_of(model: NeuralModel, keep: KeepArray) -> dict[str, Any]:
    """Weights of the network, measured frequencies, and log weights of rows."""
    weights = model.generator.state_dict()
    return {
        "hidden": model.generator.hidden,
        "depth": model.generator.depth,
        "weights": {name: keep(f"weights/{name}.npy", values.numpy()) for name, values in weights.items()},
        "frequencies": keep("frequencies.npy", model.fakes.frequencies.numpy()),
        "tilt": [keep("tilt/pairs.npy", model.tilt.pairs.numpy()), keep("tilt/ones.npy", model.tilt.ones.numpy())],
    }


def model_from(document: Mapping[str, Any], coding: Coding, known: Uncertainty, array: ReadArray) -> NeuralModel:
    """The model. Raises ArtefactError for what `parts_of` did not write."""
    cells = Cells(coding.domain)
    hidden, depth = int(document["hidden"]), int(document["depth"])
    if not (1 <= hidden <= MAX_HIDDEN and 0 <= depth <= MAX_DEPTH):
        raise bad("Its network is larger than any.")
    generator = Generator(cells.width, hidden, depth, torch.Generator().manual_seed(0))
    expected = generator.state_dict()
    if set(document["weights"]) != set(expected):
        raise bad("Its network is not of the form its sizes say.")

    def tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.from_numpy(array(name, np.float32, shape))

    generator.load_state_dict(
        {name: tensor(document["weights"][name], tuple(values.shape)) for name, values in expected.items()}
    )
    frequencies = tensor(document["frequencies"], (cells.width,))
    if frequencies.min() < 0 or any(part.sum() <= 0 for part in frequencies.split(cells.sizes)):
        raise bad("Its frequencies are none.")
    pairs, ones = document["tilt"]
    return NeuralModel(
        schema=coding.schema,
        attributes=coding.attributes,
        merged=coding.merged,
        generator=generator.requires_grad_(False),
        fakes=Fakes(cells, frequencies, torch.ones(cells.width)),
        tilt=Tilt(tensor(pairs, (cells.width, cells.width)), tensor(ones, (cells.width,))),
        n_rows_estimate=float(document["total"]),
        expected_error={tuple(clique): float(error) for clique, error in document["expected_error"]},
        uncertainty=known,
    )
