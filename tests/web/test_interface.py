"""The REST interface keeps its own description: requests generated from it, and the form of refusals."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from starlette.testclient import TestClient

from api.web.app import routes
from tests.web.conftest import ORIGIN, House

EXAMPLES = int(os.environ.get("TABLEGATE_EXAMPLES", "10"))
"""Generated requests an operation; `make test-browser` asks for more."""


OPERATIONS = sorted(
    (route.path_format, method) for route in routes() if route.include_in_schema for method in route.methods
)
NOT_ASKED = (ignored_auth, positive_data_acceptance)
"""Checks that do not fit: who may call what has a test of its own; and a request of the right shape may be refused for
what it says, such as a schema without columns, with the declared 422."""


@pytest.fixture(scope="module")
def described(open_house: House) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", open_house.service.app)


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=" ".join)
def test_every_answer_is_as_declared(described: Any, open_house: House, path: str, method: str) -> None:
    """Called by somebody with every role, so that requests get through to the use cases."""
    key = open_house.service.program("everything").headers["authorization"]

    @given(case=described[path][method].as_strategy())
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
    def check(case: Any) -> None:
        case.call_and_validate(headers={"authorization": key}, excluded_checks=NOT_ASKED)

    check()


def test_every_operation_declares_its_refusals(open_house: House) -> None:
    document = open_house.service.app.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            declared = set(operation["responses"])
            assert {"401", "403", "413", "415", "422", "429", "500"} <= declared, f"{method} {path}"
            if "{" in path:
                assert "404" in declared, f"{method} {path}"


def test_a_refusal_says_what_why_and_how_to_fix_it(open_house: House) -> None:
    client = TestClient(open_house.service.app, base_url=ORIGIN)
    for answer in (
        client.get("/v1/me"),
        client.get("/v1/nowhere"),
        client.patch("/v1/me"),
        open_house.service.program("steward").post("/v1/datasets", json={"title": "x" * 300}),
        open_house.service.program("steward").post("/v1/datasets", content=b"{"),
    ):
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert all(problem[part] for part in ("type", "title", "detail", "what", "why", "fix"))
        assert "x" * 20 not in answer.text
