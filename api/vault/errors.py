"""Reasons the vault refuses for."""

from __future__ import annotations

from privacy.errors import ReleaseError


class VaultError(ReleaseError):
    """Something in the vault cannot be read: its key is destroyed or not here, or it was changed."""

    code = "vault"
    title = "The vault cannot open it"


class TooLargeError(ReleaseError):
    """More was sent than the installation takes in."""

    code = "too-large"
    title = "The table is too large"


def sealed_is_damaged() -> VaultError:
    """The error for what does not authenticate."""
    return VaultError(
        "What is in the vault was changed, cut, or belongs elsewhere.",
        why="Its authentication failed.",
        fix="Find out who can write to the vault, and upload the table again.",
    )
