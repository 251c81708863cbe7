"""A person decides where the checks could not: a release under review is let out, or its table is destroyed.

Only the verdict REVIEW can be reviewed; what was withheld stays withheld, and what was decided stays decided. Name,
role, time and a digest of the record go into the bundle, which is sealed anew; the reason, which may quote findings,
stays in the internal half. The old bundle is exchanged for the new one in one step.

An approval hands the table out before its key is destroyed, a rejection destroys the key first: killed in between, the
first leaves an encrypted copy of a table that is out, the second a table nobody can read.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
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
from audits.release.gate import Verdict
from audits.release.quarantine import Quarantine
from audits.release.scorecard import approved
from audits.release.signing import SigningKey
from audits.release.staging import BUNDLE, internal_half, locked, restore, staging
from audits.release.verify import signed_predicate
from privacy.errors import RequestError

CARRIED = ("statement.json", "policy.json", "schema.json")


def review(
    bundle: Path,
    *,
    approve: bool,
    reviewer: str,
    role: str,
    reason: str,
    time: str,
    quarantine: Quarantine,
    key: SigningKey,
) -> Bundle:
    """Record a decision on a release under review, and carry it out.

    Args:
        bundle: its folder, with `BUNDLE.internal` beside it.
        approve: whether the table leaves.
        reviewer: who decides; printed in the bundle.
        role: as what they decide; printed too.
        reason: why; kept in the internal half.
        time: when, ISO 8601 in UTC.
        quarantine: where the table waits.
        key: the key the bundle was sealed with.

    Raises:
        RequestError: reviewer, role or reason is empty.
        BundleError: the bundle does not verify, is not under review or has been reviewed, its internal half is not
            here or is another one, or the table is no longer the one that was audited.
    """
    if not all(text.strip() for text in (reviewer, role, reason)):
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
        decision = json.loads(internal_files(bundle, predicate)["decision.json"])
        return _carry_out(bundle, predicate, decision, approve, (reviewer, role, reason, time), quarantine, key)


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
    said: tuple[str, str, str, str],
    quarantine: Quarantine,
    key: SigningKey,
) -> Bundle:
    item = decision["quarantine"]
    data = quarantine.take(item, DATA_FILES) if approve else {}
    if approve and {name: sha256(content) for name, content in data.items()} != decision["waiting"]:
        raise _refused("The table in quarantine is not the one that was audited.", "Reject it, and release anew.")
    reviewer, role, reason, time = (text.strip() for text in said)
    approval = {"decision": "approved" if approve else "rejected", "reviewer": reviewer, "role": role, "time": time}
    # The nonce keeps a short reason from being guessed by its digest.
    record = rfc8785.dumps({**approval, "reason": reason, "nonce": secrets.token_hex(16)})
    approval["record_digest"] = sha256(record)
    if not approve:
        quarantine.destroy(item)
    digest = _reseal(bundle, predicate, approval, data, record, key)
    if approve:
        quarantine.destroy(item)
    return Bundle(path=bundle, internal=internal_half(bundle), digest=digest, released=approve)


def _under_review(bundle: Path, key: SigningKey) -> dict[str, Any]:
    """The signed predicate of a bundle that waits for a decision. Raises BundleError."""
    if not bundle.is_dir():
        raise _refused(f"There is no bundle '{bundle.name}'.", "Name the bundle's folder.")
    predicate = signed_predicate(bundle, key.fingerprint)
    if predicate["approvals"]:
        raise _refused("This release has been reviewed already.", "A decision stands; make a new release.")
    if predicate["verdict"] != Verdict.REVIEW:
        raise _refused(
            f"This release is not under review: its verdict is {predicate['verdict']}.",
            "Only REVIEW is a person's to decide; what was withheld must be released anew.",
        )
    if not predicate["waits"]:
        raise _refused("No table waits for this review.", "It was audited and not made here.")
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
    approval: Mapping[str, Any],
    data: Mapping[str, bytes],
    record: bytes,
    key: SigningKey,
) -> str:
    """Exchange the bundle for one that carries the decision; its digest."""
    internal = internal_half(bundle)
    card = approved(json.loads((internal / "findings.json").read_bytes()), approval, released=bool(data))
    documents = {name: (bundle / name).read_bytes() for name in CARRIED if (bundle / name).exists()}
    decided = {
        **predicate,
        "released": bool(data),
        "data": bool(data),
        "waits": False,
        "approvals": [dict(approval)],
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
