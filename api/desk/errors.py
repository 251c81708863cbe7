"""Reasons a use case is refused for that have nothing to do with roles (`api.access.roles`) or budgets."""

from __future__ import annotations

from privacy.errors import ReleaseError


class NotFoundError(ReleaseError):
    """There is no such thing, or none that this person may know of: the two look alike."""

    code = "not-found"
    title = "There is no such thing"


class ConflictError(ReleaseError):
    """The thing is not in the state the act needs, or a request id was used for something else."""

    code = "conflict"
    title = "The state does not allow it"


def not_found(kind: str) -> NotFoundError:
    """The error for an id nobody has, or not for this person."""
    return NotFoundError(
        f"There is no such {kind}.",
        why="Nothing has this id, or you have no role for it.",
        fix=f"List what you may see; a {kind} that should be there needs a role for its dataset.",
    )
