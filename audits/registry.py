"""The audits there are, by name. Joining the registry joins the contract (`tests/contracts/test_audits.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from audits.attacks.across_releases import AcrossReleases
from audits.attacks.attribute_inference import AttributeInference
from audits.attacks.combination import AttackCombination
from audits.attacks.copies import Copies
from audits.attacks.linkability import Linkability
from audits.attacks.membership import MembershipInference
from audits.attacks.shadow import ShadowModels
from audits.attacks.singling_out import SinglingOut
from audits.content import Content
from audits.fairness.base_rates import BaseRates
from audits.fairness.outcomes import Outcomes
from audits.fairness.representation import Representation
from audits.fidelity.associations import Associations
from audits.fidelity.coverage import Coverage
from audits.fidelity.detection import Detection
from audits.fidelity.divergences import Divergences
from audits.fidelity.marginals import Marginals
from audits.fidelity.mean_discrepancy import MeanDiscrepancy
from audits.fidelity.rules import Rules
from audits.fidelity.support import Support
from audits.fidelity.utility import Utility
from audits.protocol import Audit
from audits.utility.fine_tuning import FineTuning
from audits.utility.hybrid import Hybrid
from audits.utility.importance import Importance
from audits.utility.train_test import TrainTest

STANDARD: tuple[Audit, ...] = (
    Content(),
    Copies(),
    MembershipInference(),
    SinglingOut(),
    Linkability(),
    AttributeInference(),
    Marginals(),
    Divergences(),
    Associations(),
    MeanDiscrepancy(),
    Support(),
    Coverage(),
    Rules(),
    Detection(),
    Utility(),
    Representation(),
    BaseRates(),
    Outcomes(),
)
"""What every release is asked, in order."""

WITH_EARLIER: tuple[Audit, ...] = (AcrossReleases(),)
"""What is asked beside it where earlier releases of the population are at hand."""

DEEP: tuple[Audit, ...] = (
    AttackCombination(),
    ShadowModels(),
    TrainTest(),
    Hybrid(),
    FineTuning(),
    Importance(),
)
"""What is asked beside it on request, in order: minutes to hours, in several repeats."""

AUDITS: Mapping[str, Audit] = MappingProxyType({audit.name: audit for audit in (*STANDARD, *WITH_EARLIER, *DEEP)})
