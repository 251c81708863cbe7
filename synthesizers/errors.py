"""Why no model came about."""

from __future__ import annotations

from privacy.errors import ReleaseError


class PlanError(ReleaseError):
    """The request cannot be planned, found from public facts before anything is spent."""

    code = "plan"
    title = "The request cannot be planned"
