"""More rows of a released model, at no further budget: drawn, audited and judged like the release it comes from.

Drawing is post-processing of what was paid for. Judging needs the real rows: the internal half of the release knows
which file they are in and how they were assigned, so the same rows train, control and stand by. The released table is
held beside the new rows, since whoever has these may have that one too. Where the file is gone
or another one, there is no evidence, and nothing leaves.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.asked_rows import target_of
from api.attempts import check_room, put_forward
from api.coins import Coins, file_digest
from api.deep import suite
from api.earlier import read_earlier
from api.home import Home, Installation
from api.judging import Candidate, Release, judge
from api.recipe import check_rows, check_seed, check_target
from api.splitting import split
from api.steps import Steps
from api.streams import Streams
from audits.assignment import design_for
from audits.errors import BundleError
from audits.release.bundle import COINS, MODEL
from audits.release.policy import Gate, load_policy
from audits.release.review import internal_files
from audits.release.staging import internal_half
from audits.release.verify import signed_predicate, verify
from privacy.cost import PrivacyCost
from privacy.errors import RequestError, TableError
from privacy.rows import Inline
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from privacy.statement import Line, PrivacyStatement, claim_of_json
from synthesizers.artefact import load
from synthesizers.conditioning import draw, weigh


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherRows:
    """A request for more rows.

    Attributes:
        model: the bundle of a release, or the model file in its internal half.
        rows: how many.
        table: the sensitive table, where it is no longer where the release read it.
        where, balance, given: as in `Recipe`.
        policy: name of a shipped policy, or a policy file.
        out: where the bundle goes.
        seed: seed of the streams that protect nobody.
    """

    model: Path
    rows: int
    table: Path | None
    where: tuple[str, ...]
    balance: tuple[str, ...]
    given: Path | None
    policy: str
    out: Path
    seed: int


def sample(asked: FurtherRows, home: Home, steps: Steps) -> Release:
    """Draw, judge and seal. Raises a ReleaseError for what is refused."""
    steps("checking the request")
    bundle = bundle_of(asked.model)
    check_rows(asked.rows)
    check_seed(asked.seed)
    check_target(asked.out)
    policy = load_policy(asked.policy)
    if policy.gate is Gate.PRICED:
        raise RequestError(
            f"Policy '{policy.name}' judges by bought counts, and nothing is bought for further rows.",
            why="The control units have answered once for the price of the release.",
            fix="Name a policy whose gate is exact, or make a new release.",
        )
    predicate = released(bundle, home)
    files = internal_files(bundle, predicate)
    if MODEL not in files or COINS not in files:
        raise _refused("Its internal half holds no model.", "Make a release with this version of the program.")
    model = load(files[MODEL])
    schema = parse_schema(json.loads((bundle / "schema.json").read_bytes()), name=model.schema.name)
    target = target_of(model.schema, asked.where, asked.balance, asked.given)
    charge = home.ledger.charge_of(str(predicate["charge"]))
    streams = Streams(asked.seed)
    steps("sampling")
    weights = weigh(model, target, streams["weights"])
    synthetic = draw(model, weights, asked.rows, streams["sample"])

    steps("reading the table")
    written = json.loads(files[COINS])
    table = asked.table or Path(written["table"])
    if not table.is_file() or file_digest(table) != written["sha256"]:
        raise TableError(
            f"'{table.name}' is not the file the model was fitted to, or is not here.",
            why="Further rows are judged against the rows the model was fitted to and those it was not.",
            fix="Name that file with --table, unchanged. Nothing leaves without evidence.",
        )
    check_room(home, schema, table, policy)
    home.ledger.record(charge, "attempt", {"further_rows_of": _digest(bundle)})
    attempt = put_forward(home, charge, schema, table, policy)
    design = design_for(schema.n_public.value)
    parts = split(table, schema, design, Coins(bytes.fromhex(written["key"])), Inline()).parts
    candidate = Candidate(
        synthetic=synthetic,
        model=model,
        weights=weights,
        reweighted=target.words,
        parts=parts,
        design=design,
        schema=schema,
        statement=restated(json.loads((bundle / "statement.json").read_bytes()), schema, home),
        policy=policy,
        kept={MODEL: files[MODEL], COINS: files[COINS]},
        seed=asked.seed,
        out=asked.out,
        audits=suite(deep=False, earlier=True),
        attempt=attempt,
        earlier=read_earlier([bundle], model.schema),
    )
    return judge(candidate, home, charge, home.signing_key, steps)


def bundle_of(path: Path) -> Path:
    """The bundle a path means. Raises BundleError."""
    path = path.absolute()
    if path.is_file() and path.name == MODEL and path.parent.name.endswith(".internal"):
        path = path.parent.with_name(path.parent.name.removesuffix(".internal"))
    if not path.is_dir() or not internal_half(path).is_dir():
        raise _refused(
            f"'{path.name}' is no release with its internal half beside it.",
            f"Name the bundle of a release, or {MODEL} in its internal half.",
        )
    return path


def released(bundle: Path, home: Installation) -> dict[str, Any]:
    """What is signed of a release that was let out. Raises BundleError."""
    fingerprint = home.signing_key.fingerprint
    report = verify(bundle, lambda seq, digest: home.ledger.contains((seq, digest)), fingerprint)
    if not report.ok:
        raise _refused("The release does not verify.", "See `tablegate verify`; use the bundle as it was sealed.")
    predicate = signed_predicate(bundle, fingerprint)
    if not predicate["released"]:
        raise _refused("Its table was not let out.", "More rows are drawn of a released model only.")
    return predicate


def restated(written: dict[str, Any], schema: Schema, home: Installation) -> PrivacyStatement:
    """The promise the model was made under; the population's figures are today's."""
    claim, emitted = claim_of_json(written)
    return PrivacyStatement(
        synthesizer=written["synthesizer"],
        schema=schema,
        claim=claim,
        lines=tuple(
            Line(purpose=line["purpose"], cost=PrivacyCost.from_json(line["events"])) for line in written["bought"]
        ),
        emitted=emitted,
        noise_is_secret=bool(written["dp_valid"]),
        attempts=home.ledger.attempts(schema.population),
        population_epsilon=home.ledger.total(schema.population),
        unproven=home.ledger.unproven_tables(schema.population),
    )


def _digest(bundle: Path) -> str:
    return hashlib.sha256((bundle / "provenance.dsse.json").read_bytes()).hexdigest()


def _refused(what: str, fix: str) -> BundleError:
    return BundleError(what, why="Only a release that was let out is gone on from.", fix=fix)
