"""The engine against private-pgm's on the same noisy marginals: the same model, on pairs measured and not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from privacy.columns import Floats
from synthesizers.marginal.domain import Domain, project
from synthesizers.marginal.estimation import MarkovRandomField, estimate
from synthesizers.marginal.measurement import LinearMeasurement

PROBLEMS = json.loads((Path(__file__).parent / "mbi.json").read_text())["problems"]
TOLERANCE = 0.001
"""Total variation distance. Both descents stop before the optimum: the largest distance seen is .00013."""


def joint_of(domain: Domain, model: MarkovRandomField) -> Floats:
    """By brute force from the potentials, without junction tree or message passing."""
    log = np.zeros(domain.shape(tuple(domain.sizes)))
    for clique, potential in model.potentials.items():
        log = log + potential.reshape([size if name in clique else 1 for name, size in domain.sizes.items()])
    joint: Floats = np.exp(log - log.max())
    return joint * (model.total / joint.sum())


@pytest.mark.parametrize("problem", PROBLEMS, ids=[p["name"] for p in PROBLEMS])
def test_two_engines_fit_one_model(problem: dict[str, Any]) -> None:
    domain = Domain(problem["sizes"])
    measured = []
    for given in problem["measured"]:
        noisy = np.array(given["noisy"])
        measured.append(LinearMeasurement(tuple(given["clique"]), noisy, np.full(noisy.shape, problem["stddev"] ** 2)))
    model = estimate(domain, measured)
    assert model.total == pytest.approx(problem["total"], rel=1e-6)
    joint = joint_of(domain, model)
    distances = {}
    for pair in problem["pairs"]:
        clique = tuple(pair["clique"])
        theirs = np.array(pair["counts"]).reshape(domain.shape(clique))
        distances[clique] = 0.5 * np.abs(project(joint, tuple(domain.sizes), clique) - theirs).sum() / model.total
    assert max(distances.values()) < TOLERANCE, distances


def test_the_comparison_can_fail() -> None:
    """Half of the answers' own noise, on one pair, is beyond the tolerance."""
    pair = np.array(PROBLEMS[0]["pairs"][0]["counts"])
    noise = np.resize([1, -1], pair.shape) * PROBLEMS[0]["stddev"] / 2
    assert 0.5 * np.abs(noise).sum() / pair.sum() > TOLERANCE
