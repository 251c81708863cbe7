"""What pages are made of: vendored files as they came, numbers in words, mock tables from the schema alone."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from api.desk.mock import drawn
from api.web.app import STATIC
from api.web.limiting import Limiter
from api.web.pages.rendering import own_address
from api.web.pages.words import epsilon_words
from api.web.problems import STATUS, TooManyRequestsError
from bench.run import SCHEMAS
from privacy.errors import ReleaseError
from privacy.schema_file import load_schema
from tests.web.conftest import House

VENDOR = STATIC / "vendor"
TEMPLATES = STATIC.with_name("templates")


def test_vendored_files_are_those_that_are_named() -> None:
    listed = tomllib.loads((VENDOR / "vendor.toml").read_text())["file"]
    for file in listed:
        assert hashlib.sha256((VENDOR / file["name"]).read_bytes()).hexdigest() == file["sha256"]
        assert (VENDOR / file["licence_file"]).exists()
    named = {name for file in listed for name in (file["name"], file["licence_file"])}
    assert {path.name for path in VENDOR.iterdir()} == named | {"vendor.toml"}


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.j2")), ids=lambda path: path.name)
def test_no_template_has_inline_script_or_style(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|<style|\sstyle=|javascript:|\|\s*safe\b(?!\s+if)", text)


def test_every_form_that_changes_something_carries_the_token(open_house: House) -> None:
    paths = {"steward": (f"/datasets/{open_house.dataset}", f"/releases/{open_house.published}", "/datasets/new"),
             "admin": ("/people",), "researcher": (f"/releases/{open_house.published}", "/me"),
             "compliance": (f"/releases/{open_house.reviewed}/review",)}  # fmt: skip
    for name, path in ((name, path) for name, several in paths.items() for path in several):
        text = open_house.service.signed_in(name).get(path).text
        forms = re.findall(r'<form[^>]*method="post".*?</form>', text, re.DOTALL)
        assert len(forms) > 1, path  # one signs out
        assert all('name="form_token"' in form for form in forms), path


@pytest.mark.parametrize(("epsilon", "percent"), [(0.1, "52%"), (1.0, "73%"), (3.0, "95%"), (50.0, "99.99%")])
def test_epsilon_in_words_is_the_bound_of_the_best_guess(epsilon: float, percent: str) -> None:
    assert f"at most {percent}" in epsilon_words(epsilon, 1e-9)


def test_the_bound_is_that_of_the_gaussian_mechanism_or_above() -> None:
    """Oracle: the best test between N(0, 1) and N(mu, 1) is right with Phi(mu / 2), whatever its (epsilon, delta)."""
    from scipy.stats import norm

    for mu in (0.5, 1.0, 2.0):
        for epsilon in (0.5, 1.0, 2.0, 4.0):
            delta = norm.cdf(-epsilon / mu + mu / 2) - math.exp(epsilon) * norm.cdf(-epsilon / mu - mu / 2)
            assert norm.cdf(mu / 2) <= (math.exp(epsilon) + delta) / (1 + math.exp(epsilon)) + 1e-12


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_mock_table_has_the_shape_and_keeps_the_rules(path: Path) -> None:
    schema = load_schema(path)
    rows = drawn(schema, 50, np.random.default_rng(3))
    assert rows.schema.names == schema.names
    assert len(rows) == 50
    assert rows.csv().count(b"\n") == 51
    if rows.schema.constraints:
        assert all(rule.met(rows).all() for rule in rows.schema.constraints.rules)


@pytest.mark.parametrize("address", ["/", "/releases", "/datasets/0123", "/me?x=1"])
def test_an_address_of_ours_is_kept(address: str) -> None:
    assert own_address(address) == address


def test_limits_refuse_and_say_when_to_come_again() -> None:
    limiter = Limiter({"any": "2/minute"})
    limiter.count("any", "a")
    limiter.count("any", "a")
    limiter.count("any", "b")
    with pytest.raises(TooManyRequestsError) as caught:
        limiter.count("any", "a")
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 120


def test_a_limit_holds_across_the_turn_of_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1_800_000_000.0 - 0.5
    monkeypatch.setattr("time.time", lambda: clock)
    monkeypatch.setattr("api.web.limiting.time", lambda: clock)
    limiter = Limiter({"any": "2/minute"})
    limiter.count("any", "a")
    clock += 1
    limiter.count("any", "a")
    with pytest.raises(TooManyRequestsError, match="limit is 2 per 1 minute"):
        limiter.count("any", "a")
    clock += 59.5
    limiter.count("any", "a")


def test_every_error_of_the_service_has_a_status() -> None:
    """Errors that mean a defect or damage are 500 on purpose; no other may be forgotten."""
    defects = {"release-stopped", "overspend", "journal", "bundle", "model", "vault", "outdated-run", "service"}
    defects |= {"workers-died"}
    elsewhere = {"plugin", "tracking"}  # of other tools, on the command line alone

    def codes(of: type[ReleaseError]) -> set[str]:
        return {of.code}.union(*(codes(kind) for kind in of.__subclasses__()))

    assert codes(ReleaseError) - set(STATUS) - defects - elsewhere == set()
