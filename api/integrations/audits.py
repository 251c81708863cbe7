"""Audits of other libraries, asked beside ours on the same split: internal figures that no shipped policy reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from api.integrations.evidently import Drift
from api.integrations.extras import require
from api.integrations.sdmetrics import Reports
from api.integrations.synthcity import SynthcityMetrics
from audits.protocol import Audit
from audits.release.policy import Gate, Policy
from privacy.errors import RequestError

BESIDE: Mapping[str, Audit] = MappingProxyType({a.name: a for a in (Reports(), Drift(), SynthcityMetrics())})


def check_beside(names: Sequence[str], policy: Policy) -> None:
    """Refuse libraries that are not known or not installed, and any where the gate is priced. Raises RequestError."""
    for name in names:
        if name not in BESIDE:
            raise RequestError(
                f"There are no audits of '{name}'.",
                why="Audits beside ours are those of libraries that are wired in.",
                fix=f"Choose among {', '.join(BESIDE)}.",
            )
        require(name)
    if names and policy.gate is Gate.PRICED:
        raise RequestError(
            f"Policy '{policy.name}' has a priced gate, and audits of other libraries read real rows.",
            why="Whatever they did would be one more answer that nothing was paid for.",
            fix="Leave --beside out, or name a policy whose gate is exact.",
        )
    if len(set(names)) < len(names):
        raise RequestError("A library is named twice with --beside.", why="It is asked once.", fix="Name it once.")
