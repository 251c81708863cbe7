"""How often a version of a table was put before an exact gate, and under which policy.

Such a gate reads private rows and its verdict is not charged, so that every attempt is one more question. Attempts on
one version, which is one file under one schema, are counted in the ledger and capped by the policy; and the policy is
the one of the first attempt, since limits that are moved once results are known are no limits. A priced gate pays for
every attempt instead: nothing is counted, and nothing about a version is looked at.

What a version is follows from the file, which is read after the charge. Beforehand only public facts may decide: a
request that names the same file under the same schema as attempts that used up the cap is refused free of charge. The
ledger holds both as codes keyed by the installation, since a plain digest could be tried against guessed tables.
"""

from __future__ import annotations

from api.coins import file_digest, place_of
from api.home import Installation
from audits.release.gate import Attempt
from audits.release.policy import Gate, Policy
from privacy.errors import RequestError
from privacy.files import TableFile
from privacy.ledger import Charge, Unproven
from privacy.schema import Schema


def check_room(home: Installation, schema: Schema, table: TableFile, policy: Policy) -> None:
    """Refuse what can only be withheld, before it is charged: by the file's name, without reading it.

    Raises:
        RequestError: the attempts on this file are used up, or were made under another policy.
    """
    if policy.gate is Gate.PRICED:
        return
    made = [facts for _, facts in home.ledger.candidates(schema.population)]
    ours = _code(home, "file", schema, place_of(table))
    versions = [facts["version"] for facts in made if facts["file"] == ours]
    if not versions:
        return
    same = [facts for facts in made if facts["version"] == versions[-1]]
    if len(same) >= policy.attempts:
        raise RequestError(
            f"'{table.name}' was put before the gate {len(same)} times; '{policy.name}' allows {policy.attempts}.",
            why="Each verdict is read off private rows, and choosing among many is not covered by epsilon.",
            fix="Use what was released. A new version of the table has attempts of its own: give its file a new name.",
        )
    if same[0]["policy"] != policy.digest:
        raise RequestError(
            f"'{table.name}' was first judged by another policy than '{policy.name}' as it is now.",
            why="A policy stands from the first attempt on; limits moved after results were seen are no limits.",
            fix="Name the policy of the first attempt, unchanged. A new version of the table may have another.",
        )


def put_forward(
    home: Installation, charge: Charge | Unproven, schema: Schema, table: TableFile, policy: Policy
) -> Attempt | None:
    """Record that a table is put before the gate, before anything is learned from it; None where the gate is priced."""
    if policy.gate is Gate.PRICED:
        return None
    facts = {
        "version": _code(home, "version", schema, file_digest(table)),
        "file": _code(home, "file", schema, place_of(table)),
        "policy": policy.digest,
    }
    entry = home.ledger.record(charge, "candidate", facts)
    same = [
        past
        for seq, past in home.ledger.candidates(schema.population)
        if seq <= entry.seq and past["version"] == facts["version"]
    ]
    return Attempt(number=len(same), same_policy=same[0]["policy"] == policy.digest)


def _code(home: Installation, kind: str, schema: Schema, text: str) -> str:
    return home.signing_key.code(f"{kind} {schema.digest} {text}")
