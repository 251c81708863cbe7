"""How well each group is predicted, and how far its chances can be trusted, by models of synthetic and of real rows.

The models are those of `audits.fairness.outcomes`. For every group that is large enough: the AUC of the positive label
and the calibration error of its chance within the group, each trained on synthetic rows with that trained on real rows
as its baseline, and what synthesis made worse. Intervals are paired over control rows of the group, and add a jackknife
over the fifths that were learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from audits.estimates import estimate_finding, mean_variance
from audits.fairness.gaps import Mask, jackknife_variance
from audits.finding import Finding
from audits.scores import calibration_error, half_a_row, macro_auc
from privacy.columns import Floats

Units = npt.NDArray[np.int64]
Score = Callable[[Floats, Mask], tuple[float, Floats]]


def group_findings(
    audit: str, subject: str, label: Mask, chances: tuple[Floats, Floats], units: Units
) -> Iterator[Finding]:
    """What is found of one group.

    Args:
        audit: name of the audit.
        subject: the group, as "column=level".
        label: whether rows of the group have the positive label, shape (n,); both occur.
        chances: of the positive label, by models of synthetic and of real rows, shape (1 + folds, n) each: with all
            folds first, then with each left out.
        units: unit number of every row, shape (n,).
    """
    owner = np.unique(units, return_inverse=True)[1]
    for name, score, doubt, worse in (
        ("AUC", _auc, half_a_row(label.astype(np.int32)), "lost"),
        ("calibration error", _calibration, 1 / len(label) ** 2, "worsened"),
    ):
        sign = -1 if worse == "lost" else 1
        ours, theirs = ([score(one, label) for one in side] for side in chances)
        values = [np.array([value for value, _ in side]) for side in (ours, theirs)]
        learnt = [jackknife_variance(side[1:]) for side in values]
        of_ours = mean_variance(ours[0][1], owner) + learnt[0] + doubt
        of_both = mean_variance(ours[0][1] - theirs[0][1], owner) + sum(learnt) + doubt
        yield estimate_finding(
            audit=audit,
            quantity=f"{name} in the group, trained on synthetic",
            subject=subject,
            estimate=float(values[0][0]),
            error=of_ours**0.5,
            baseline=float(values[1][0]),
            worse="lower" if worse == "lost" else "higher",
            n=len(label),
            limits=(0.0, 1.0),
            looked_at=1,
        )
        yield estimate_finding(
            audit=audit,
            quantity=f"{name} {worse} in the group",
            subject=subject,
            estimate=sign * float(values[0][0] - values[1][0]),
            error=of_both**0.5,
            baseline=0.0,
            worse="higher",
            n=len(label),
            limits=(-1.0, 1.0),
            looked_at=1,
        )


def _auc(chance: Floats, label: Mask) -> tuple[float, Floats]:
    return macro_auc(np.stack([1 - chance, chance], axis=1), label.astype(np.int32))


def _calibration(chance: Floats, label: Mask) -> tuple[float, Floats]:
    return calibration_error(chance, label)[:2]
