"""The bundle: what a recipient gets, sealed and signed, beside the internal half that stays.

Everything in `BUNDLE` is safe for its recipient. Exact findings go to `BUNDLE.internal`, which the bundle names by the
digest of its manifest, so that a bundle vouches for findings it does not show. Only a released bundle has `data/`: the
table of a release that waits for people is in quarantine, and that of a withheld one is dropped.

    data/synthetic.parquet, data/synthetic.csv   the table, when released
    DATASHEET.md, croissant.json, datapackage.json, dp-disclosure.yaml, ro-crate-metadata.json
                                                 the table in the words of other people's standards, when released
    scorecard.json, report.html                  for the recipient
    statement.json, policy.json, schema.json     the promise, the limits, the public description
    README.txt, MANIFEST.sha256                  what this is; `sha256sum -c` needs no tool of ours
    provenance.dsse.json, signing-key.pub.pem    who says so, and the key to check it with
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

from audits.finding import Audience
from audits.release.gate import Decision, Verdict
from audits.release.policy import Policy
from audits.release.quarantine import Quarantine
from audits.release.scorecard import render, to_bytes
from audits.release.signing import SigningKey, seal_statement
from audits.release.staging import (
    BUNDLE,
    INTERNAL,
    claimed_by_leftover,
    clear_leftovers,
    internal_half,
    staging,
    taken,
)
from audits.release.wire import decision_to_json
from audits.standards.described import Described, facts_of
from audits.standards.descriptions import describe
from privacy.errors import RequestError

if TYPE_CHECKING:
    from privacy.schema import Schema
    from privacy.table import Table

PREDICATE_TYPE = "urn:tablegate:release:v1"
DATA_FILES = ("data/synthetic.csv", "data/synthetic.parquet")
MANIFEST, PROVENANCE, PUBLIC_KEY = "MANIFEST.sha256", "provenance.dsse.json", "signing-key.pub.pem"
MODEL, COINS = "model.tablegate", "coins.json"
"""Files of the internal half that further rows of a released model are drawn and judged with."""
INTERNAL_FILES = frozenset({"findings.json", "report.html", "timings.json", "decision.json", MODEL, COINS})
"""Files the manifest of the internal half may list."""
BUNDLE_DIGESTS, REVIEW_RECORD = "bundle-digest", "review.json"
"""Files of the internal half that a review adds to; its manifest does not list them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a bundle is made from.

    Attributes:
        schema: the table's public description, as declared.
        statement: `PrivacyStatement.to_json()`; None for a table that comes without one.
        policy, decision: the limits, and what came of them.
        scorecard: the whole tree of `scorecard.build`.
        timings: seconds by step.
        charge: id of the ledger's charge; None where nothing was charged.
        ledger_head: place and digest of the ledger's last entry; None where nothing was charged.
        code_version: version of the program.
        date: day of the release, YYYY-MM-DD; empty where no table is handed on.
        held: whether people must let the table out even where every check passed.
        points: rows of all three tables on a map (`audits.fidelity.picture`), for the internal report alone.
        kept: further files for the internal half, by name.
    """

    schema: Schema
    statement: Mapping[str, Any] | None
    policy: Policy
    decision: Decision
    scorecard: Mapping[str, Any]
    timings: Mapping[str, float]
    charge: str | None
    ledger_head: tuple[int, str] | None
    code_version: str
    date: str = ""
    held: bool = False
    points: Sequence[Mapping[str, Any]] = ()
    kept: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A sealed bundle. `digest` is the SHA-256 of its provenance, which covers every other file."""

    path: Path
    internal: Path
    digest: str
    released: bool


def check_out(out: Path) -> None:
    """Refuse a target before anything is charged. Raises RequestError when it exists or cannot be written."""
    internal = internal_half(out)
    if os.path.lexists(out) or (os.path.lexists(internal) and not claimed_by_leftover(out)):
        raise taken(out)
    parent = next(p for p in out.absolute().parents if os.path.lexists(p))
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise RequestError(
            f"No bundle can be written to '{out.name}'.",
            why="The folder it would lie in is not a folder, or may not be written to.",
            fix="Choose another --out.",
        )


def seal(
    out: Path, contents: Contents, *, synthetic: Table | None, key: SigningKey, quarantine: Quarantine | None
) -> Bundle:
    """Write a bundle and its internal half, or nothing.

    Args:
        out: where; `OUT.internal` lies beside it.
        contents: what is known of the release.
        synthetic: the table; None where it is not ours to hand on (an audit of a table made elsewhere).
        key: who signs.
        quarantine: where a table that people decide on waits; None only with no table.

    Guarantees:
        A process killed at any point leaves no OUT that is not whole, and what it leaves is removed by the next run.

    Raises:
        RequestError: OUT exists, or cannot be written.
        ValueError: a table that people decide on has no quarantine to wait in.
    """
    check_out(out)
    verdict = contents.decision.verdict
    released = verdict is Verdict.PASS and not contents.held
    waits = synthetic is not None and verdict is not Verdict.WITHHOLD and not released
    if waits and quarantine is None:
        raise ValueError("a table that people decide on needs a quarantine")
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(out, quarantine.destroy if quarantine else lambda _: None)
    rows = {} if synthetic is None or verdict is Verdict.WITHHOLD else table_files(synthetic)
    data = rows if released else {}
    with staging(out, "seal") as stage:
        internal = _internal_files(contents, rows if waits else {}, stage.token)
        predicate = _predicate(contents, sha256(internal[MANIFEST]), released=released, data=bool(data), waits=waits)
        files = public_files(contents.scorecard, _documents(contents), data, predicate, key)
        digest = sha256(files[PROVENANCE])
        stage.write(BUNDLE, files, mode=0o755)
        stage.write(INTERNAL, {**internal, BUNDLE_DIGESTS: f"{digest}\n".encode()}, mode=0o700)
        if waits and quarantine is not None:
            quarantine.put(stage.token, rows)
        stage.publish(out)
    return Bundle(path=out, internal=internal_half(out), digest=digest, released=released)


def public_files(
    card: Mapping[str, Any],
    documents: Mapping[str, bytes],
    data: Mapping[str, bytes],
    predicate: Mapping[str, Any],
    key: SigningKey,
) -> dict[str, bytes]:
    """Every file of the recipient's half, by name, the signed provenance last."""
    from audits.release.report import render_report  # altair and its renderer: a second to load, needed only here

    rendering = render(card, Audience.RECIPIENT)
    files = {
        **data,
        **documents,
        "scorecard.json": to_bytes(rendering),
        "report.html": render_report(rendering).encode(),
        "README.txt": _readme(bool(data), unverified=bool(card["unverified"])).encode(),
        PUBLIC_KEY: key.public_pem,
    }
    if data and rendering["statement"] is not None:  # of a table without a proof there is nothing to declare to others
        files |= describe(
            Described(
                card=rendering,
                document=json.loads(documents["schema.json"]),
                files=facts_of(files),
                date=predicate["date"],
                approvals=predicate["approvals"],
                code_version=predicate["code_version"],
            )
        )
    files[MANIFEST] = manifest({name: sha256(content) for name, content in files.items()})
    digests = {name: sha256(content) for name, content in files.items()}
    files[PROVENANCE] = seal_statement(digests, predicate, PREDICATE_TYPE, key)
    return files


def manifest(digests: Mapping[str, str]) -> bytes:
    """Digests as `sha256sum -c` reads them."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


def table_files(synthetic: Table) -> dict[str, bytes]:
    """The table as it is handed on, by file name."""
    return {"data/synthetic.csv": synthetic.csv(), "data/synthetic.parquet": synthetic.parquet()}


def sha256(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def _documents(contents: Contents) -> dict[str, bytes]:
    documents = {
        "policy.json": rfc8785.dumps(dict(contents.policy.document)),
        "schema.json": rfc8785.dumps(_public_document(contents.schema)),
    }
    if contents.statement is not None:
        documents["statement.json"] = rfc8785.dumps(dict(contents.statement))
    return documents


def _public_document(schema: Schema) -> dict[str, Any]:
    """The schema as declared, without `drafted`: what a draft read off the rows is not public."""
    document = dict(schema.document)
    document["privacy"] = {k: v for k, v in document.get("privacy", {}).items() if k != "drafted"}
    return document


def _predicate(contents: Contents, internal_digest: str, *, released: bool, data: bool, waits: bool) -> dict[str, Any]:
    head = contents.ledger_head
    statement = contents.statement
    return {
        "verdict": str(contents.decision.verdict),
        "held": contents.held,
        "released": released,
        "data": data,
        "waits": waits,
        "statement_digest": None if statement is None else sha256(rfc8785.dumps(dict(statement))),
        "schema_digest": contents.schema.digest,
        "policy_digest": contents.policy.digest,
        "charge": contents.charge,
        "ledger_head": None if head is None else {"seq": head[0], "digest": head[1]},
        "internal_manifest": internal_digest,
        "approvals": [],
        "code_version": contents.code_version,
        "date": contents.date,
    }


def _internal_files(contents: Contents, waiting: Mapping[str, bytes], token: str) -> dict[str, bytes]:
    from audits.release.report import render_report  # as above

    decision = {
        **decision_to_json(contents.decision),
        "quarantine": token if waiting else None,
        "waiting": {name: sha256(content) for name, content in waiting.items()},
    }
    files = {
        "findings.json": to_bytes(contents.scorecard),
        "report.html": render_report(contents.scorecard, contents.timings, contents.points).encode(),
        "timings.json": rfc8785.dumps(dict(contents.timings)),
        "decision.json": rfc8785.dumps(decision),
        **contents.kept,
    }
    files[MANIFEST] = manifest({name: sha256(content) for name, content in files.items()})
    return files


def _readme(data: bool, *, unverified: bool) -> str:
    table = (
        "data/synthetic.parquet  the synthetic table, typed, missing values as null\n"
        "data/synthetic.csv      the same; a missing value is the first `missingValues` token of schema.json\n"
        "DATASHEET.md            what the table is, for people\n"
        "croissant.json          the same in Croissant 1.1, with RAI and PROV-O: data set loaders read it\n"
        "datapackage.json        the CSV as a Frictionless Data Package\n"
        "dp-disclosure.yaml      draft of an entry for the DP Deployments Registry, tier 3\n"
        "ro-crate-metadata.json  the bundle as an RO-Crate, with the phases of the Five Safes profile\n"
        if data
        else "This bundle has no table: it was withheld, waits for a review, or was not made here.\n"
    )
    return (
        "A release by Tablegate\n======================\n\n"
        f"{table}"
        "report.html             what is guaranteed, what was asked, where not to trust the table\n"
        "scorecard.json          the same for programs\n"
        "statement.json          the privacy statement, with every event that was paid for (if a promise is made)\n"
        "policy.json             the limits the table was judged by\n"
        "schema.json             the public description of its columns (Frictionless Table Schema)\n"
        "MANIFEST.sha256         digests of these files\n"
        "provenance.dsse.json    the signed statement over all of them (DSSE, in-toto, Ed25519)\n"
        "signing-key.pub.pem     the key it is signed with: compare its fingerprint with one you know\n\n"
        "Check it offline:\n\n"
        "    tablegate verify .\n"
        "    sha256sum -c MANIFEST.sha256\n\n"
        + (
            "The synthetic table was made from private rows by a generator whose guarantee is unverified: nothing is\n"
            "promised about any person in it. It is for people who may see the rows themselves.\n"
            if unverified
            else "Nothing in here was computed from a private row, other than through the measurements statement.json\n"
            "lists and the decision to release itself.\n"
        )
    )
