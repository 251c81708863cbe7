"""A released table is audited and judged again, as it was the first time; only the findings are kept."""

from __future__ import annotations

import json

from api.attempts import check_room, put_forward
from api.coins import Coins
from api.deep import suite
from api.desk.desk import Desk
from api.desk.ordering import order_for, policy_of
from api.desk.reaudits import DECISION, FINDINGS, place
from api.desk.record import SERVICE, deciding, record
from api.desk.states import ReleaseState
from api.earlier import read_earlier
from api.further_rows import restated
from api.judging import Candidate, judge
from api.splitting import split
from api.steps import Steps
from api.store.database import reading
from api.store.tables import Dataset, Release
from api.streams import Streams, fresh_seed
from api.vault.tables import table_at
from api.work.installation import ServiceInstallation
from api.work.shelf import EARLIER, clear, earlier_bundles, get_bundle
from audits.release.bundle import COINS, MODEL
from audits.release.review import internal_files
from audits.release.verify import signed_predicate
from privacy.rows import Inline
from privacy.table import read_table
from synthesizers.artefact import load
from synthesizers.conditioning import weigh


def reaudit(desk: Desk, about: str) -> None:
    """Carry a re-audit out; `about` is "RELEASE/ID". Done once, it is not done again."""
    release, _, identity = about.partition("/")
    target = f"{place(release)}/{identity}"
    with reading(desk.engine) as session:
        found = session.get_one(Release, release)
        dataset = session.get_one(Dataset, found.dataset)
    if found.state != ReleaseState.PUBLISHED or desk.vault.files.exists(f"{target}/{DECISION}"):
        return
    folder = desk.settings.work / f"reaudit-{identity}"
    try:
        home = ServiceInstallation(desk, folder)
        get_bundle(desk, release, found.bundle, folder)
        judged = judge(_candidate(desk, found, dataset, home), home, home.ledger.charge_of(found.charge),
                       home.signing_key, Steps(lambda _: None))  # fmt: skip
        for name in (FINDINGS, DECISION):  # the decision last: it says that all is there
            with desk.vault.files.writing(f"{target}/{name}") as sink:
                sink.write((judged.bundle.internal / name).read_bytes())
        with deciding(desk.engine) as session:
            verdict = str(judged.decision.verdict)
            record(session, SERVICE, "re-audit", release, reaudit=identity, verdict=verdict)
    finally:
        clear(folder)


def _candidate(desk: Desk, found: Release, dataset: Dataset, home: ServiceInstallation) -> Candidate:
    """The released rows, and the real ones as they fell the first time."""
    bundle = home.folder / "bundle"
    files = internal_files(bundle, signed_predicate(bundle, home.signing_key.fingerprint))
    order = order_for(dataset, found.asked, policy_of(found.policy), found.id, out=home.folder / "again")
    model, coins = load(files[MODEL]), Coins(bytes.fromhex(json.loads(files[COINS])["key"]))
    table, charge = table_at(desk.vault, found.table_name), home.ledger.charge_of(found.charge)
    check_room(home, order.schema, table, order.policy)
    home.ledger.record(charge, "attempt", {"reaudit_of": found.bundle})
    attempt = put_forward(home, charge, order.schema, table, order.policy)
    streams = Streams(fresh_seed())
    others = read_earlier(earlier_bundles(desk, dataset, found.id, home.folder / EARLIER), model.schema)
    return Candidate(
        synthetic=read_table(bundle / "data" / "synthetic.parquet", model.schema),
        model=model,
        weights=weigh(model, order.target, streams["weights"]),
        reweighted=order.target.words,
        parts=split(table, order.schema, order.design, coins, Inline()).parts,
        design=order.design,
        schema=order.schema,
        statement=restated(json.loads((bundle / "statement.json").read_bytes()), order.schema, home),
        policy=order.policy,
        kept={},
        seed=streams.seed,
        out=order.recipe.out,
        held=True,
        audits=suite(deep=False, earlier=bool(others.tables)),
        attempt=attempt,
        earlier=others,
    )
