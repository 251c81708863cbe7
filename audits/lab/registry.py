"""The experiments of the lab, in order: audits of the deep suite where there is one, and the lab's own."""

from __future__ import annotations

from audits.fairness.outcomes import Outcomes
from audits.fairness.representation import Representation
from audits.fidelity.coverage import Coverage
from audits.fidelity.marginals import Marginals
from audits.fidelity.utility import Utility
from audits.lab.costs import Costs
from audits.lab.counted import Counted
from audits.lab.curriculum import Curriculum
from audits.lab.imperfections import Imperfections
from audits.lab.label_noise import LabelNoise
from audits.lab.rebalancing import Rebalancing
from audits.protocol import Audit
from audits.utility.fine_tuning import FineTuning
from audits.utility.hybrid import Hybrid
from audits.utility.importance import Importance

REPEATS = 3


def experiments(*, known: Counted | None, repeats: int = REPEATS, max_rows: int = 20_000) -> tuple[Audit, ...]:
    """What the lab asks.

    Args:
        known: bought counts, from which imperfections are learnt; None for the training rows.
        repeats: how often rows are drawn and models fitted again.
        max_rows: rows of each side at most.
    """
    return (
        Utility(max_rows=max_rows),
        Hybrid(scarce=(0.1, 0.5), repeats=repeats, max_rows=max_rows),
        FineTuning(repeats=repeats, max_rows=max_rows),
        Representation(),
        Coverage(),
        Outcomes(max_rows=max_rows),
        Rebalancing(repeats=repeats, max_rows=max_rows),
        Imperfections(known=known, repeats=repeats, max_rows=max_rows),
        Curriculum(repeats=repeats, max_rows=max_rows),
        LabelNoise(repeats=repeats, max_rows=max_rows),
        Marginals(),
        Importance(repeats=repeats, max_rows=max_rows),
        Costs(max_rows=max_rows),
    )
