"""The whole story once, with a real worker: a table goes in, is trained on, audited, approved, and comes out sealed."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.access.roles import Principal
from api.desk import datasets, releases
from api.desk.record import entries, verified_head
from api.desk.states import ReleaseState
from api.store.journal import AUDIT, LEDGER
from audits.release.verify import verify
from tests.service.scene import Scene, working

pytestmark = pytest.mark.service


def download_all(scene: Scene, who: Principal, release: str, folder: Path) -> Path:
    """Take every file of a released bundle."""
    for name in releases.files(scene.desk, who, release):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        taken = releases.download(scene.desk, who, release, name)
        with taken.stream as stream:
            target.write_bytes(stream.read())
        assert target.stat().st_size == taken.size
    return folder


def test_a_table_goes_in_and_a_verified_bundle_comes_out(scene: Scene, tmp_path: Path) -> None:
    researcher = scene["researcher"]
    with working(scene):
        dataset = scene.ready()
        asked = scene.request(dataset, policy="two", once="mine")
        assert scene.request(dataset, policy="two", once="mine").id == asked.id
        held = scene.settled(asked.id)
        assert held.state == ReleaseState.REVIEW
        assert held.problem is None
        assert releases.progress(scene.desk, researcher, asked.id)[-1].step == "sealing the bundle"
        scene.approve(asked.id, "carl", "cora")
        published = scene.settled(asked.id)
    assert published.state == ReleaseState.PUBLISHED
    releases.accept_terms(scene.desk, researcher, asked.id, releases.terms_digest())
    bundle = download_all(scene, researcher, asked.id, tmp_path / "bundle")
    report = verify(bundle)
    assert report.ok
    assert (bundle / "data" / "synthetic.csv").exists()
    gauge = datasets.budget(scene.desk, researcher, dataset)
    assert (gauge.spent, gauge.reserved, gauge.attempts) == (1.0, 0.0, 1)
    acts = [entry.kind for entry in entries(scene.desk.engine, 0, 1000, asked.id)]
    assert acts[:4] == ["request", "start", "verdict", "vote to approve"]
    assert "publish" in acts
    assert verified_head(scene.desk.engine, AUDIT)[0] > 0
    assert verified_head(scene.desk.engine, LEDGER)[0] == 6  # cap, charge, opened, candidate, verdict, review
