"""Who may do what, as one table. What it does not allow is refused.

A person holds roles, each for one dataset or for all; a key of theirs may be limited to scopes. The web layer asks for
the action of a route, and the use case asks again for the object at hand: neither relies on the other. That nobody
decides on what they asked for themselves is no matter of roles and lies with the use case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from privacy.errors import ReleaseError

EVERY_DATASET: Final = ""


class Role(StrEnum):
    """What somebody is to a dataset."""

    STEWARD = "steward"
    COMPLIANCE = "compliance"
    RESEARCHER = "researcher"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Action(StrEnum):
    """What somebody wants to do, as an error says it after "may not"."""

    SEE_DATASET = "see this dataset"
    SEE_MOCK = "take a mock table"
    REGISTER = "register a dataset"
    UPLOAD = "upload a table"
    ERASE = "erase a table"
    SET_CAP = "change a budget's cap"
    SEE_BUDGET = "see a budget"
    REQUEST = "ask for a release"
    SEE_RELEASES = "see releases"
    SEE_FINDINGS = "see internal findings"
    STOP = "stop or repeat a release"
    REVIEW = "review a release"
    DOWNLOAD = "download a release"
    WITHDRAW = "withdraw a release"
    MONITOR = "have a release compared with new versions of its table"
    SEE_LOG = "read the audit log"
    VERIFY = "verify the records"
    SEE_POLICIES = "see policies"
    SEE_WORKERS = "see workers"
    SEE_METRICS = "read metrics"
    MANAGE_PEOPLE = "manage people"
    SEE_SELF = "see who one is, and one's notices and keys"
    MANAGE_KEYS = "make or end one's keys"


STEWARD, COMPLIANCE, RESEARCHER, AUDITOR, ADMIN = Role
MAY: Final[dict[Action, frozenset[Role]]] = {
    Action.SEE_DATASET: frozenset(Role),
    Action.SEE_MOCK: frozenset({STEWARD, COMPLIANCE, RESEARCHER, AUDITOR}),
    Action.REGISTER: frozenset({STEWARD}),
    Action.UPLOAD: frozenset({STEWARD}),
    Action.ERASE: frozenset({STEWARD}),
    Action.SET_CAP: frozenset({STEWARD}),
    Action.SEE_BUDGET: frozenset({STEWARD, COMPLIANCE, RESEARCHER, AUDITOR}),
    Action.REQUEST: frozenset({STEWARD, RESEARCHER}),
    Action.SEE_RELEASES: frozenset({STEWARD, COMPLIANCE, RESEARCHER, AUDITOR}),
    Action.SEE_FINDINGS: frozenset({STEWARD, COMPLIANCE, AUDITOR}),
    Action.STOP: frozenset({STEWARD, RESEARCHER}),
    Action.REVIEW: frozenset({COMPLIANCE}),
    Action.DOWNLOAD: frozenset({STEWARD, RESEARCHER}),
    Action.WITHDRAW: frozenset({STEWARD, COMPLIANCE}),
    Action.MONITOR: frozenset({STEWARD}),
    Action.SEE_LOG: frozenset({COMPLIANCE, AUDITOR}),
    Action.VERIFY: frozenset({STEWARD, COMPLIANCE, AUDITOR}),
    Action.SEE_POLICIES: frozenset(Role),
    Action.SEE_WORKERS: frozenset({STEWARD, AUDITOR, ADMIN}),
    Action.SEE_METRICS: frozenset({AUDITOR, ADMIN}),
    Action.MANAGE_PEOPLE: frozenset({ADMIN}),
    Action.SEE_SELF: frozenset(Role),
    Action.MANAGE_KEYS: frozenset(Role),
}
"""The whole table of permissions. A role that is not named may not."""


class Scope(StrEnum):
    """What a key may be limited to; it never allows what its person's roles do not."""

    READ = "read"
    TABLES = "tables"
    REQUEST = "request"
    DOWNLOAD = "download"
    REVIEW = "review"
    METRICS = "metrics"
    PEOPLE = "people"


LOOKING: Final = frozenset(
    {Action.SEE_SELF, Action.SEE_DATASET, Action.SEE_BUDGET, Action.SEE_RELEASES, Action.SEE_POLICIES}
)
SCOPES: Final[dict[Scope, frozenset[Action]]] = {
    Scope.READ: LOOKING | {Action.SEE_MOCK, Action.SEE_FINDINGS, Action.SEE_LOG, Action.VERIFY, Action.SEE_WORKERS},
    Scope.TABLES: LOOKING | {Action.REGISTER, Action.UPLOAD, Action.ERASE, Action.SET_CAP, Action.MONITOR},
    Scope.REQUEST: LOOKING | {Action.SEE_MOCK, Action.REQUEST, Action.STOP},
    Scope.DOWNLOAD: LOOKING | {Action.DOWNLOAD},
    Scope.REVIEW: LOOKING | {Action.SEE_FINDINGS, Action.REVIEW, Action.WITHDRAW},
    Scope.METRICS: frozenset({Action.SEE_METRICS}),
    Scope.PEOPLE: frozenset({Action.SEE_SELF, Action.MANAGE_PEOPLE}),
}
"""The actions of each scope. No scope makes keys: a limited key cannot make one that is not."""


class ForbiddenError(ReleaseError):
    """Nobody gave this person a role that may."""

    code = "forbidden"
    title = "You may not do this"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose identity was established.

    Attributes:
        id: of the person.
        name: as they sign in.
        grants: pairs of a role and the dataset it is for, or `EVERY_DATASET`.
        scopes: what the key they came with is limited to; empty for no limit.
    """

    id: str
    name: str
    grants: frozenset[tuple[Role, str]]
    scopes: frozenset[Scope] = frozenset()

    def scope(self, action: Action) -> frozenset[str] | None:
        """The datasets for which an action is allowed; None for all of them."""
        if self.scopes and not any(action in SCOPES[scope] for scope in self.scopes):
            return frozenset()
        datasets = frozenset(dataset for role, dataset in self.grants if role in MAY[action])
        return None if EVERY_DATASET in datasets else datasets

    def may(self, action: Action, dataset: str = EVERY_DATASET) -> bool:
        """Whether an action is allowed for a dataset; without one, whether it is allowed for all."""
        scope = self.scope(action)
        return scope is None or dataset in scope

    def may_somewhere(self, action: Action) -> bool:
        """Whether an action is allowed for any dataset at all."""
        return self.scope(action) != frozenset()

    def check(self, action: Action, dataset: str = EVERY_DATASET) -> None:
        """Raises ForbiddenError when an action is not allowed for a dataset."""
        if not self.may(action, dataset):
            raise forbidden(action)


def forbidden(action: Action) -> ForbiddenError:
    """The error for an action that is not allowed."""
    scopes = [scope for scope in Scope if action in SCOPES[scope]]
    limited = f"a limited key takes one of these scopes: {_listed(scopes)}" if scopes else "a limited key never may"
    return ForbiddenError(
        f"You may not {action}.",
        why=f"It takes one of these roles: {_listed(MAY[action])}; {limited}.",
        fix="Ask an administrator for the role, or somebody who has it; or make a key with the scope.",
    )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
