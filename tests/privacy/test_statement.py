"""The statement says what is promised, for whom, and what epsilon does not cover."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import rfc8785

from audits.finding import Audience
from audits.release.gate import Verdict
from audits.release.report import render_report
from audits.release.scorecard import render
from privacy.accounting import Accountant, Claim
from privacy.cost import Discovery, Exponential, Gaussian, PrivacyCost
from privacy.recompute import report
from privacy.statement import UNBOUNDED, PrivacyStatement, claim_of_json, stated
from tests.audits.release import made_up
from tests.tables import person_schema


def plain() -> PrivacyStatement:
    return made_up.statement()


def test_promise_has_its_numbers() -> None:
    promise = replace(plain(), claim=Claim(epsilon=1.0, delta=1e-6, accountant=Accountant.PLD)).promise
    assert "adding or removing one row " in promise
    assert "factor of e^1 = 2.72" in promise
    assert "(1, 1e-06)-differential privacy, add-or-remove adjacency, PLD accountant" in promise


@pytest.mark.parametrize(("epsilon", "after", "before"), [(1.0, "73.1%", "26.9%"), (0.1, "52.5%", "47.5%")])
def test_belief_is_what_bayes_says(epsilon: float, after: str, before: str) -> None:
    """Even odds times e^epsilon, as a probability."""
    belief = replace(plain(), claim=Claim(epsilon=epsilon, delta=1e-6, accountant=Accountant.PLD)).belief
    assert after in belief
    assert before in belief


def test_a_huge_epsilon_is_called_by_its_name() -> None:
    huge = replace(plain(), claim=Claim(epsilon=5_000.0, delta=1e-6, accountant=Accountant.RDP))
    assert "no protection to speak of" in huge.promise
    assert "100.0%" in huge.belief


def test_what_epsilon_does_not_cover() -> None:
    told = " ".join(plain().not_covered)
    for words in (
        "decision to release itself",
        "number of attempts",
        "what withheld attempts taught",
        "its verdict is not charged",
        "column names",
        "How long the run took",
        "family of k units",
    ):
        assert words in told
    assert "of one person" not in told


def test_words_for_persons() -> None:
    persons = replace(plain(), schema=person_schema())
    assert persons.schema.unit.words in persons.promise
    assert "person" in persons.promise
    assert "5" in persons.schema.unit.words
    told = " ".join(persons.not_covered)
    assert "Rows beyond 5 of one person, and rows without a person's identifier, are left out" in told
    assert persons.to_json()["unit"] == {"words": persons.schema.unit.words, "field": "person", "max_rows": 5}


def test_seeded_noise_is_not_valid() -> None:
    seeded = replace(plain(), noise_is_secret=False)
    assert plain().dp_valid
    assert not seeded.dp_valid
    assert seeded.assumptions[0].startswith("NOT VALID")
    assert seeded.to_json()["dp_valid"] is False
    assert "NOT VALID" not in " ".join(plain().assumptions)
    assert "operating system's cryptographic generator" in plain().assumptions[0]


def test_every_domain_names_its_origin() -> None:
    domains = plain().domains
    assert set(domains) == set(plain().schema.names)
    assert domains["region"] == "categories public (codebook of the made-up survey, 2024)"
    assert domains["income"].count("public (codebook") == 2


def test_json_round_trip() -> None:
    cost = PrivacyCost(((Gaussian(3.25), 7), (Exponential(0.125), 2), (Discovery(1e-8), 1)))
    claim = Claim(epsilon=1.2345678901234567, delta=1e-6, accountant=Accountant.RDP)
    written = json.loads(json.dumps(replace(plain(), claim=claim, emitted=cost).to_json()))
    claim_again, cost_again = claim_of_json(written)
    assert claim_again == claim
    assert cost_again == cost.merged
    assert json.loads(rfc8785.dumps(written)) == written


def test_an_infinite_total_is_words() -> None:
    """JSON has no infinity: statement, scorecard, report and the second pricing all live with the words."""
    unbounded = replace(plain(), population_epsilon=math.inf)
    written = unbounded.to_json()
    assert written["population_epsilon_at_cap_delta"] == UNBOUNDED == stated(math.inf) == stated(math.nan)
    assert stated(1.5) == 1.5
    assert rfc8785.dumps(written)
    assert report(written)["faults"] == []
    card = made_up.card(Verdict.PASS, statement=unbounded)
    assert UNBOUNDED in render_report(render(card, Audience.RECIPIENT))


def test_attempts_population_and_cap_are_told() -> None:
    written = replace(plain(), attempts=3, population_epsilon=2.5).to_json()
    assert (written["attempts"], written["population_epsilon_at_cap_delta"]) == (3, 2.5)
    assert written["population"] == "made-up-survey"
    assert written["cap"] == {"epsilon": 10, "delta": 1e-5}
    assert written["schema_digest"] == plain().schema.digest
    assert written["n_public"] == "none"
