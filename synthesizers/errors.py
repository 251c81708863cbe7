"""Why no model came about."""

from __future__ import annotations

from privacy.errors import ReleaseError


class PlanError(ReleaseError):
    """The request cannot be planned, found from public facts before anything is spent."""

    code = "plan"
    title = "The request cannot be planned"


class ArtefactError(ReleaseError):
    """A model file is not one, or not one of this version."""

    code = "model"
    title = "The model was refused"


class VanishingError(ReleaseError):
    """Rows are asked for that the model has next to none of. Public: it follows from the model alone."""

    code = "vanishing"
    title = "There are no such rows"
