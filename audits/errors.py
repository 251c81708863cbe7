"""Why an audit, or a bundle, gave no answer."""

from __future__ import annotations

from privacy.errors import ReleaseError


class InconclusiveError(Exception):
    """An audit cannot answer on this evidence; the text says why, without a cell or an exact count."""


class BundleError(ReleaseError):
    """A bundle is damaged, incomplete or not what it claims to be."""

    code = "bundle"
    title = "The bundle cannot be trusted"


class PolicyError(ReleaseError):
    """A policy file cannot be used."""

    code = "policy"
    title = "The policy was refused"
