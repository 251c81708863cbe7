"""Budgets are worked out once for every state of the ledger, however many ask at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.desk import datasets
from tests.web.conftest import Service

MANY = 12


def test_of_many_who_ask_after_an_entry_one_works_it_out(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = service.ready()
    real, asked = datasets.budget, []

    def counted(*given: Any) -> datasets.Gauge:
        asked.append(given)
        return real(*given)

    monkeypatch.setattr(datasets, "budget", counted)
    clients = [service.program("researcher") for _ in range(MANY)]
    for round_, spent in enumerate((0.0, 1.0), start=1):
        with ThreadPoolExecutor(MANY) as crowd:
            answers = list(crowd.map(lambda c: c.get(f"/v1/datasets/{dataset}/budget").json(), clients))
        assert len(asked) == round_
        assert all(a == answers[0] for a in answers)
        assert answers[0]["spent"] + answers[0]["reserved"] == pytest.approx(spent)
        service.asked(dataset)
