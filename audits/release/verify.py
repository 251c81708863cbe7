"""A bundle proves itself, offline: its files, its signature, its epsilon, its verdict, and its place in the ledger.

Needs `cryptography` and the standard library; epsilon is recomputed where the accountants are installed, the policy
applied again where the internal half is at hand, the ledger looked at where one is given, and each says "not checked"
elsewhere. Names in the bundle are never used as paths: the folder is walked, and what is found is compared.

What no bundle can prove by itself is who signed it. Whoever replaces the key and signs anew makes a bundle that is
consistent; give `expected_key`, the fingerprint known from elsewhere, to notice.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import rfc8785

from audits.errors import BundleError
from audits.finding import Audience
from audits.release.bundle import (
    BUNDLE_DIGESTS,
    DATA_FILES,
    MANIFEST,
    PREDICATE_TYPE,
    PROVENANCE,
    PUBLIC_KEY,
    REVIEW_RECORD,
    manifest,
    sha256,
)
from audits.release.gate import CLAIM, Verdict, one_run_check, outcome_checks, worst
from audits.release.policy import Effect, parse_policy
from audits.release.scorecard import render, reviewed, to_bytes
from audits.release.signing import fingerprint, open_statement, public_key
from audits.release.staging import internal_half
from audits.release.wire import checks_to_json, outcomes_from_json
from audits.standards.descriptions import NAMES as DESCRIPTIONS

Status: TypeAlias = Literal["ok", "failed", "not checked"]
LedgerContains: TypeAlias = Callable[[int, str], bool]
DOCUMENTS = frozenset({"scorecard.json", "report.html", "README.txt", "policy.json", "schema.json"})
BLOCK_BYTES = 1 << 20
BROKEN = (BundleError, ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, RecursionError)
"""What reading something that is not what it should be ends in. None of them gets past a check."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked: name, status and detail of every check, in order."""

    checks: tuple[tuple[str, Status, str], ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed. What was not checked is no failure."""
        return all(status != "failed" for _, status, _ in self.checks)


@dataclass(frozen=True, slots=True)
class _Signed:
    """What the signature vouches for: the predicate, the key, and the small files as they were digested."""

    predicate: Mapping[str, Any]
    key: str
    files: Mapping[str, bytes]

    def document(self, name: str) -> Any:
        return json.loads(self.files[name])


class _Fault(ValueError):
    """A check that found something wrong; the text says what."""


def verify(
    bundle: Path, ledger_contains: LedgerContains | None = None, expected_key: str | None = None
) -> VerifyReport:
    """Check a bundle.

    Args:
        bundle: its folder; `BUNDLE.internal` beside it is used where it is there.
        ledger_contains: whether a ledger has an entry of this place and digest; None for no ledger.
        expected_key: fingerprint of the key it must be signed with; None to accept the key it brings.

    Guarantees:
        Any changed, added, removed or renamed file fails, and so does any changed byte.

    Raises:
        BundleError: there is no such folder.
    """
    if not bundle.is_dir():
        raise BundleError(
            f"There is no bundle '{bundle.name}'.", why="Nothing can be checked.", fix="Name the bundle's folder."
        )
    bundle = bundle.absolute()
    try:
        signed = _open(bundle, expected_key)
    except BROKEN as error:
        later = ("claims", "epsilon", "internal half", "policy", "ledger")
        return VerifyReport(
            (("files and signature", "failed", _words(error)), *((n, "not checked", "not signed") for n in later))
        )
    pinned = "the key that was expected" if expected_key else "not pinned: compare the fingerprint with one you know"
    return VerifyReport(
        (
            ("files and signature", "ok", f"every file is signed by key {signed.key} ({pinned})"),
            _checked("claims", lambda: _claims(signed)),
            _checked("epsilon", lambda: _epsilon(signed)),
            _checked("internal half", lambda: _internal(bundle, signed)),
            _checked("policy", lambda: _policy(bundle, signed)),
            _checked("ledger", lambda: _ledger(signed, ledger_contains)),
        )
    )


def signed_predicate(bundle: Path, expected_key: str | None = None) -> dict[str, Any]:
    """What a bundle's signature says of it, once every file was found to be covered by it. Raises BundleError."""
    try:
        return dict(_open(bundle.absolute(), expected_key).predicate)
    except BROKEN as error:
        raise BundleError(
            f"The bundle does not verify: {_words(error)}.",
            why="Nothing may be decided on files that are not the ones that were sealed.",
            fix="Get the bundle again from where it was released.",
        ) from error


def _checked(name: str, check: Callable[[], tuple[Status, str]]) -> tuple[str, Status, str]:
    try:
        return name, *check()
    except BROKEN as error:
        return name, "failed", _words(error)


def _words(error: BaseException) -> str:
    if isinstance(error, BundleError):
        return error.what.rstrip(".")
    return str(error) if isinstance(error, _Fault) else f"not readable ({type(error).__name__})"


def _open(bundle: Path, expected_key: str | None) -> _Signed:
    """Walk the folder, check the signature, and compare every file with it. Raises one of BROKEN."""
    digests = dict(_digests(bundle))
    for name in (PROVENANCE, PUBLIC_KEY, MANIFEST):
        if name not in digests:
            raise _Fault(f"{name} is missing")
    public = public_key((bundle / PUBLIC_KEY).read_bytes())
    if expected_key is not None and fingerprint(public) != expected_key:
        raise _Fault("signed with another key than expected")
    envelope = (bundle / PROVENANCE).read_bytes()
    statement = open_statement(envelope, public)
    signed = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
    if statement["predicateType"] != PREDICATE_TYPE:
        raise _Fault("the signature is about something else than a release")
    for name in sorted(signed.keys() | (digests.keys() - {PROVENANCE})):
        if name not in digests:
            raise _Fault(f"{name!r} is missing")
        if name not in signed:
            raise _Fault(f"{name!r} was added")
        if signed[name] != digests[name]:
            raise _Fault(f"{name!r} was changed")
    if (bundle / MANIFEST).read_bytes() != manifest({n: d for n, d in signed.items() if n != MANIFEST}):
        raise _Fault("the manifest does not list the files")
    small = {name: (bundle / name).read_bytes() for name in signed if name not in DATA_FILES}
    if any(sha256(content) != signed[name] for name, content in small.items()):
        raise _Fault("a file changed while it was read")
    return _Signed(statement["predicate"], fingerprint(public), {**small, PROVENANCE: envelope})


def _digests(bundle: Path) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of every file. Raises _Fault for anything but plain files in folders that hold some."""
    for folder, folders, files in os.walk(bundle, onerror=_raise):
        here = Path(folder)
        if not folders and not files:
            raise _Fault(f"{here.name!r} is an empty folder")
        for name in (*folders, *files):
            mode = (here / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and name in folders)):
                raise _Fault(f"{name!r} is a link or no plain file")
        for name in files:
            state = hashlib.sha256()
            with (here / name).open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    state.update(block)
            yield (here / name).relative_to(bundle).as_posix(), state.hexdigest()


def _raise(error: OSError) -> None:
    raise error


def _claims(signed: _Signed) -> tuple[Status, str]:
    """Documents, scorecard and predicate say the same."""
    predicate, card = signed.predicate, signed.document("scorecard.json")
    names = set(signed.files) - {PROVENANCE, PUBLIC_KEY, MANIFEST}
    proven = bool(predicate["statement_digest"])
    expected = DOCUMENTS | ({"statement.json"} if proven else set())
    if names != expected | (DESCRIPTIONS if predicate["data"] and proven else set()):
        raise _Fault("the bundle lacks a document, or has one too many")
    if predicate["data"] and not predicate["released"]:
        raise _Fault("there is a table in a bundle that was not released")
    digests = {name: digest for digest, name in map(_listed, signed.files[MANIFEST].decode().splitlines())}
    if (digests.keys() & set(DATA_FILES)) != (set(DATA_FILES) if predicate["data"] else set()):
        raise _Fault("the table is missing, or there is one where none should be")
    if predicate["data"] and proven and _described(signed) != {name: digests[name] for name in DATA_FILES}:
        raise _Fault("croissant.json or datapackage.json describes another table")
    policy = parse_policy(signed.document("policy.json"))
    if not predicate["policy_digest"] == policy.digest == card["release"]["policy"]["digest"]:
        raise _Fault("the policy is not the one the table was judged by")
    if (card["release"]["verdict"], card["release"]["released"]) != (predicate["verdict"], predicate["released"]):
        raise _Fault("scorecard and signature disagree on the verdict")
    approvals = predicate["approvals"]
    passed = predicate["verdict"] == Verdict.PASS
    for_people = predicate["verdict"] == Verdict.REVIEW or (passed and predicate["held"])
    if approvals != [] and not for_people:
        raise _Fault("somebody decided on what was not theirs to decide")
    enough = len({a["reviewer"].casefold() for a in approvals}) >= policy.approvers
    approved = enough and all(a["decision"] == "approved" for a in approvals)
    if predicate["released"] != ((passed and not for_people) or (for_people and approved)):
        raise _Fault("the verdict, and who approved it, do not let this table out")
    statement = {k: v for k, v in (card["statement"] or {}).items() if k != "audience"}
    written = signed.document("statement.json") if predicate["statement_digest"] else {}
    digest = sha256(rfc8785.dumps(written)) if written else None
    if statement != written or digest != predicate["statement_digest"]:
        raise _Fault("scorecard and privacy statement disagree")
    return "ok", "documents, scorecard and signature say the same"


def _listed(line: str) -> tuple[str, str]:
    """Digest and name of a line of the manifest."""
    digest, name = line.split("  ", 1)
    return digest, name


def _described(signed: _Signed) -> dict[str, str]:
    """SHA-256 of the table's files, by name, as the descriptions give them. Raises _Fault where two disagree."""
    found = {file["contentUrl"]: file["sha256"] for file in signed.document("croissant.json")["distribution"]}
    for resource in signed.document("datapackage.json")["resources"]:
        if found.get(resource["path"]) != resource["hash"].removeprefix("sha256:"):
            raise _Fault("croissant.json and datapackage.json disagree on the table")
    return found


def _epsilon(signed: _Signed) -> tuple[Status, str]:
    """The claim priced again from the emitted events."""
    if not signed.predicate["statement_digest"]:
        return "not checked", "the table comes without a privacy statement"
    try:
        from privacy.accounting import recompute  # the accountants are optional here
        from privacy.statement import claim_of_json
    except ImportError:
        return "not checked", "the accountants (dp_accounting) are not installed"
    statement = signed.document("statement.json")
    claim, cost = claim_of_json(statement)
    again = recompute(cost, claim.delta, claim.accountant)
    faults = list(again.faults(claim))
    if signed.predicate["released"] and not statement["dp_valid"]:
        faults.append("the noise was not secret")
    if signed.predicate["released"] and claim.epsilon > parse_policy(signed.document("policy.json")).max_epsilon:
        faults.append("the claim is above what the policy lets through")
    if faults:
        raise _Fault("; ".join(faults))
    return "ok", f"{again.epsilon:.6g} from the emitted events, {claim.epsilon:.6g} claimed, delta {claim.delta:.3g}"


def _internal(bundle: Path, signed: _Signed) -> tuple[Status, str]:
    """The internal half is the one the bundle names, and the scorecard is its rendering."""
    folder = internal_half(bundle)
    if not folder.is_dir():
        return "not checked", "the internal half is not here"
    digests = dict(_digests(folder))
    content = (folder / MANIFEST).read_bytes()
    if sha256(content) != signed.predicate["internal_manifest"]:
        raise _Fault("it is not the internal half this bundle was sealed with")
    listed = {n: d for n, d in digests.items() if n not in (MANIFEST, BUNDLE_DIGESTS, REVIEW_RECORD)}
    if manifest(listed) != content:
        raise _Fault("a file of it was changed, added or removed")
    if sha256(signed.files[PROVENANCE]) not in (folder / BUNDLE_DIGESTS).read_text().split():
        raise _Fault("it belongs to another bundle")
    card = json.loads((folder / "findings.json").read_bytes())
    approvals = signed.predicate["approvals"]
    if any(digests.get(REVIEW_RECORD) != approval["record_digest"] for approval in approvals):
        raise _Fault("the review's record was changed")
    if approvals:
        card = reviewed(card, approvals, released=signed.predicate["released"])
    if to_bytes(render(card, Audience.RECIPIENT)) != signed.files["scorecard.json"]:
        raise _Fault("the scorecard is not a rendering of the findings")
    return "ok", "the findings are the ones that were sealed, and the scorecard is their rendering"


def _policy(bundle: Path, signed: _Signed) -> tuple[Status, str]:
    """The policy applied to the findings once more."""
    folder = internal_half(bundle)
    if not folder.is_dir():
        return "not checked", "the internal half is not here"
    card = json.loads((folder / "findings.json").read_bytes())
    policy = parse_policy(signed.document("policy.json"))
    outcomes = outcomes_from_json(card["outcomes"]["audits"], card["findings"])
    checks = outcome_checks(outcomes, policy)
    recorded = json.loads((folder / "decision.json").read_bytes())
    again = checks_to_json(checks)
    if again != [c for c in recorded["checks"] if c["audit"] != CLAIM]:
        raise _Fault("the policy, applied again, comes to other verdicts")
    if signed.predicate["statement_digest"]:
        one_run = one_run_check(outcomes, signed.document("statement.json")["epsilon"], policy)
        if checks_to_json([one_run]) != [c for c in recorded["checks"] if c["quantity"] == one_run.quantity]:
            raise _Fault("the bound from one run, held against the claim again, comes to another verdict")
    claims = [Verdict(c["verdict"]) for c in recorded["checks"] if c["audit"] == CLAIM and c["effect"] == Effect.BLOCK]
    blocking = [c.verdict for c in checks if c.effect is Effect.BLOCK]
    if worst([*claims, *blocking]) != signed.predicate["verdict"]:
        raise _Fault("the verdict is not the worst of its checks")
    return "ok", f"{len(checks)} checks applied again, the same verdict"


def _ledger(signed: _Signed, contains: LedgerContains | None) -> tuple[Status, str]:
    """The chain head the bundle carries is in the ledger at hand."""
    head = signed.predicate["ledger_head"]
    if head is None:
        return "not checked", "nothing was charged for this table"
    if contains is None:
        return "not checked", "no ledger was given"
    if not contains(int(head["seq"]), str(head["digest"])):
        raise _Fault("the ledger does not hold this release's entry: it is another one, cut short, or rewritten")
    return "ok", f"entry {head['seq']} is in the ledger"
