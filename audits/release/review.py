"""People decide where the checks may not: a release that waits for them is let out, or its table is destroyed.

What waits is a table whose checks alone do not decide (REVIEW), or one that passed and was sealed to be held for a
person. What was withheld stays withheld, and what was decided stays decided. An approval needs as many different people
as the policy says; one is enough to reject. Names, roles, times and a digest of the record go into the bundle, which is
sealed anew; the reasons, which may quote findings, stay in the internal half. The old bundle is exchanged for the new
one in one step.

An approval hands the table out before its key is destroyed, a rejection destroys the key first: killed in between, the
first leaves an encrypted copy of a table that is out, the second a table nobody can read.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rfc8785

from audits.errors import BundleError
from audits.release.bundle import (
    BUNDLE_DIGESTS,
    DATA_FILES,
    INTERNAL_FILES,
    MANIFEST,
    PROVENANCE,
    REVIEW_RECORD,
    Bundle,
    manifest,
    public_files,
    sha256,
)
from audits.release.policy import parse_policy
from audits.release.quarantine import Quarantine
from audits.release.scorecard import reviewed
from audits.release.signing import SigningKey
from audits.release.staging import BUNDLE, internal_half, locked, restore, staging
from audits.release.verify import signed_predicate
from privacy.errors import RequestError

CARRIED = ("statement.json", "policy.json", "schema.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One person's word on a release under review.

    Attributes:
        reviewer: who decides; printed in the bundle.
        role: as what they decide; printed too.
        reason: why; kept in the internal half.
        time: when, ISO 8601 in UTC.
    """

    reviewer: str
    role: str
    reason: str
    time: str


def review(bundle: Path, *, approve: bool, said: Sequence[Said], quarantine: Quarantine, key: SigningKey) -> Bundle:
    """Record a decision on a release under review, and carry it out.

    Args:
        bundle: its folder, with `BUNDLE.internal` beside it.
        approve: whether the table leaves.
        said: who decides so, and why; at least one.
        quarantine: where the table waits.
        key: the key the bundle was sealed with.

    Raises:
        RequestError: reviewer, role or reason is empty, or too few different people approve.
        BundleError: the bundle does not verify, is not under review or has been reviewed, its internal half is not
            here or is another one, or the table is no longer the one that was audited.
    """
    if not said or not all(text.strip() for one in said for text in (one.reviewer, one.role, one.reason)):
        raise RequestError(
            "A review names its reviewer, their role and a reason.",
            why="A table that leaves on somebody's word leaves with their name on it.",
            fix="Give --reviewer, --role and --reason.",
        )
    bundle = bundle.absolute()
    internal = internal_half(bundle)
    if not internal.is_dir():
        raise _refused(f"'{internal.name}' is not here.", "Put the internal half back beside the bundle.")
    with locked(internal):  # two reviewers at once: the second finds a decision
        restore(bundle)
        predicate = _under_review(bundle, key)
        if approve:
            _check_approvers(bundle, said)
        decision = json.loads(internal_files(bundle, predicate)["decision.json"])
        return _carry_out(bundle, predicate, decision, approve, said, quarantine, key)


def charge_behind(bundle: Path, key: SigningKey) -> str:
    """Id of the ledger's charge a release under review was paid with. Raises BundleError where none is under review."""
    bundle = bundle.absolute()
    internal = internal_half(bundle)
    if not internal.is_dir():
        raise _refused(f"'{internal.name}' is not here.", "Put the internal half back beside the bundle.")
    with locked(internal):
        restore(bundle)
        return str(_under_review(bundle, key)["charge"])


def _carry_out(
    bundle: Path,
    predicate: Mapping[str, Any],
    decision: Mapping[str, Any],
    approve: bool,
    said: Sequence[Said],
    quarantine: Quarantine,
    key: SigningKey,
) -> Bundle:
    item = decision["quarantine"]
    data = quarantine.take(item, DATA_FILES) if approve else {}
    if approve and {name: sha256(content) for name, content in data.items()} != decision["waiting"]:
        raise _refused("The table in quarantine is not the one that was audited.", "Reject it, and release anew.")
    decided = "approved" if approve else "rejected"
    words = [{name: text.strip() for name, text in asdict(one).items()} for one in said]
    # The nonce keeps a short reason from being guessed by its digest.
    record = rfc8785.dumps({"decision": decided, "said": words, "nonce": secrets.token_hex(16)})
    shown = {"decision": decided, "record_digest": sha256(record)}
    approvals = [{**shown, **{name: text for name, text in one.items() if name != "reason"}} for one in words]
    if not approve:
        quarantine.destroy(item)
    digest = _reseal(bundle, predicate, approvals, data, record, key)
    if approve:
        quarantine.destroy(item)
    return Bundle(path=bundle, internal=internal_half(bundle), digest=digest, released=approve)


def _check_approvers(bundle: Path, said: Sequence[Said]) -> None:
    asked = parse_policy(json.loads((bundle / "policy.json").read_bytes())).approvers
    if len({one.reviewer.strip().casefold() for one in said}) < asked:
        raise RequestError(
            f"The policy asks for {asked} different people to approve.",
            why="A table leaves on the word of as many as its policy says, and nobody counts twice.",
            fix="Let them all approve it in the service, which collects their words; or reject the table.",
        )


def _under_review(bundle: Path, key: SigningKey) -> dict[str, Any]:
    """The signed predicate of a bundle that waits for a decision. Raises BundleError."""
    if not bundle.is_dir():
        raise _refused(f"There is no bundle '{bundle.name}'.", "Name the bundle's folder.")
    predicate = signed_predicate(bundle, key.fingerprint)
    if predicate["approvals"]:
        raise _refused("This release has been reviewed already.", "A decision stands; make a new release.")
    if not predicate["waits"]:
        raise _refused(
            f"This release is not under review: its verdict is {predicate['verdict']}, and no table waits.",
            "Only REVIEW, and what was held for a person, is a person's to decide; make what was withheld anew.",
        )
    return predicate


def internal_files(bundle: Path, predicate: Mapping[str, Any]) -> dict[str, bytes]:
    """The sealed files of the internal half that belongs to a bundle, by name. Raises BundleError."""
    folder = internal_half(bundle)
    try:
        content = (folder / MANIFEST).read_bytes()
        names = [line.split("  ", 1)[1] for line in content.decode().splitlines()]
        files = {name: (folder / name).read_bytes() for name in names if name in INTERNAL_FILES}
        digests = {name: sha256(one) for name, one in files.items()}
        if sha256(content) != predicate["internal_manifest"] or manifest(digests) != content:
            raise ValueError("another internal half")
    except (OSError, ValueError, IndexError) as error:
        raise _refused(
            f"'{folder.name}' is not the internal half this bundle was sealed with.",
            "Put the internal half back beside the bundle, unchanged.",
        ) from error
    return files


def _reseal(
    bundle: Path,
    predicate: Mapping[str, Any],
    approvals: Sequence[Mapping[str, Any]],
    data: Mapping[str, bytes],
    record: bytes,
    key: SigningKey,
) -> str:
    """Exchange the bundle for one that carries the decision; its digest."""
    internal = internal_half(bundle)
    card = reviewed(json.loads((internal / "findings.json").read_bytes()), approvals, released=bool(data))
    documents = {name: (bundle / name).read_bytes() for name in CARRIED if (bundle / name).exists()}
    decided = {
        **predicate,
        "released": bool(data),
        "data": bool(data),
        "waits": False,
        "approvals": [dict(approval) for approval in approvals],
        "date": max(str(approval["time"])[:10] for approval in approvals),
    }
    files = public_files(card, documents, data, decided, key)
    digest = sha256(files[PROVENANCE])
    with staging(bundle, "review") as stage:
        stage.write(BUNDLE, files, mode=0o755)
        # First the internal half learns of both bundles, so that it fits whichever a killed process leaves.
        known = (internal / BUNDLE_DIGESTS).read_text(encoding="utf-8")
        _replace(internal / REVIEW_RECORD, record)
        _replace(internal / BUNDLE_DIGESTS, f"{known}{digest}\n".encode())
        stage.exchange(bundle)
    return digest


def _replace(path: Path, content: bytes) -> None:
    folder = path.parent
    draft = folder.with_name(f".{folder.name}.{path.name}.draft")  # outside: the internal half holds nothing unknown
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def _refused(what: str, fix: str) -> BundleError:
    return BundleError(what, why="A review decides on exactly what was audited and sealed, once.", fix=fix)
