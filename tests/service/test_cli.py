"""The client's commands against a service that serves: the story of the README, on the command line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner

from api.access.keys import add_key
from api.cli import app
from api.desk.record import deciding
from api.desk.runs import begin
from api.remote import config_file, keep
from api.web.app import create_app
from api.work.decisions import decide
from api.work.releasing import release as carry_out
from api.work.tables import ingest
from audits.release.verify import verify
from tests.end_to_end.scene import DOCUMENT, write_table
from tests.service.scene import Scene


@contextmanager
def serving(scene: Scene) -> Iterator[str]:
    """The service's address while the block lasts."""
    server = uvicorn.Server(uvicorn.Config(create_app(scene.desk), port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        scene.wait(lambda: server.started, "the service serves", 30)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_the_story_on_the_command_line(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, schema = tmp_path / "table.csv", tmp_path / "schema.json"
    write_table(table, 300)
    schema.write_text(json.dumps(DOCUMENT))
    keys = {}
    with deciding(scene.desk.engine) as session:
        for name, person in scene.people.items():
            keys[name] = add_key(session, person.id, "tests", 1)[1]

    def told(who: str, *command: str, code: int = 0) -> Any:
        monkeypatch.setenv("TABLEGATE_KEY", keys[who])
        result = CliRunner().invoke(app, [*command, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    with serving(scene) as url:
        monkeypatch.setenv("TABLEGATE_URL", url)
        assert told("researcher", "config", "show")["name"] == "researcher"
        dataset = told("steward", "dataset", "register", str(schema), "--title", "A table")["id"]
        told("steward", "dataset", "upload", dataset, str(table))
        ingest(scene.desk, dataset)
        assert told("researcher", "dataset", "list")["items"][0]["state"] == "ready"
        told("researcher", "dataset", "mock", dataset, "-o", str(tmp_path / "mock.csv"))
        recipe = ["--synthesizer", "independent", "--epsilon", "1", "--delta", "1e-6", "--policy", "open"]
        assert told("researcher", "request", "price", dataset, *recipe)["fits"]
        words = ["--purpose", "to try it", "--recipient", "us", "--once", "mine"]
        asked = told("researcher", "request", "make", dataset, *recipe, *words)
        assert told("researcher", "request", "make", dataset, *recipe, *words)["id"] == asked["id"]
        told(
            "researcher", "request", "make", dataset, *recipe[:2], "--epsilon", "99.9", *recipe[4:], *words[:4], code=2
        )
        _work(scene, asked["id"])
        bundle = told("carl", "job", "show", asked["id"])["bundle"]
        told("carl", "job", "vote", asked["id"], "--bundle", bundle, "--approve", "--reason", "fine")
        decide(scene.desk, asked["id"])
        assert told("researcher", "job", "wait", asked["id"])["state"] == "published"
        out = tmp_path / "bundle"
        terms = told("researcher", "download", asked["id"], "--out", str(out), code=2)
        told("researcher", "download", asked["id"], "--out", str(out), "--accept", terms["digest"])
        assert verify(out).ok
        assert told("auditor", "records", "verify")["items"]
        assert "download" in {item["kind"] for item in told("auditor", "records", "show")["items"]}
        made = told("researcher", "keys", "make", "--label", "another")
        told("researcher", "keys", "end", made["id"])
        told("researcher", "job", "withdraw", asked["id"], "--reason", "not mine to", code=2)
        told("steward", "job", "withdraw", asked["id"], "--reason", "a mistake")
        assert told("researcher", "job", "list")["items"][0]["state"] == "withdrawn"


def test_the_key_is_kept_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    keep("http://here", "tg_secret")
    assert config_file().is_relative_to(tmp_path)
    assert config_file().stat().st_mode & 0o777 == 0o600


def _work(scene: Scene, release: str) -> None:
    """What a worker does with a request."""
    run = begin(scene.desk, release, "here")
    assert run is not None
    carry_out(scene.desk, run)
