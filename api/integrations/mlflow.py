"""A release as a run of MLflow: recipe, price, verdict and internal figures, on a tracking server inside the boundary.

Off unless a server is named. Figures of the audits were computed from private rows, so whoever may read the server may
read them; nothing else of the table goes there: no row, no file, no path. What MLflow would add by itself (user, host,
source file) is not sent, and its telemetry is switched off.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from time import time

from api.integrations.extras import require
from api.recipe import Recipe
from audits.finding import Outcome
from audits.release.bundle import Bundle
from audits.release.gate import Decision
from privacy.errors import ReleaseError
from privacy.statement import PrivacyStatement

EXPERIMENT = "tablegate"
BATCH = 500
"""Figures of one request; a server takes a thousand."""

FORBIDDEN = re.compile(r"[^\w\-./ ]")
"""Signs that names of figures may not have."""


class TrackingError(ReleaseError):
    """The tracking server did not take the run. The release is made all the same."""

    code = "tracking"
    title = "The run was not logged"


def check_tracking() -> None:
    """Refuse a tracking server where its library is not installed. Raises RequestError."""
    require("mlflow")


def track(
    uri: str,
    recipe: Recipe,
    population: str,
    statement: PrivacyStatement | None,
    decision: Decision,
    outcomes: Sequence[Outcome],
    bundle: Bundle,
) -> str:
    """Log one release.

    Args:
        uri: the server's address, or a store MLflow knows.
        recipe: what was asked.
        population: who pays.
        statement: what is promised; None where nothing is.
        decision: the verdict.
        outcomes: what every audit found.
        bundle: what was sealed.

    Returns:
        The run's id.

    Raises:
        TrackingError: the server cannot be reached, or refused.
    """
    # Read when the library is first imported; the second keeps its addresses out of our answer.
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that is down is not waited for
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException

    now = int(1000 * time())
    try:
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        experiment = client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
        run = client.create_run(experiment, tags=_tags(population, statement, decision, bundle)).info.run_id
        client.log_batch(run, params=[Param(key, value) for key, value in _params(recipe).items()])
        metrics = [Metric(key, value, now, 0) for key, value in _metrics(statement, outcomes)]
        for start in range(0, len(metrics), BATCH):
            client.log_batch(run, metrics=metrics[start : start + BATCH])
        client.set_terminated(run)
    except (MlflowException, OSError) as error:
        raise TrackingError(
            "The tracking server did not take the run.",
            why=f"MLflow says {type(error).__name__}. The release stands as it was sealed.",
            fix="Check the address given with --track, and that the server is up.",
        ) from error
    return str(run)


def _params(recipe: Recipe) -> dict[str, str]:
    return {
        "synthesizer": recipe.synthesizer,
        "epsilon": f"{recipe.epsilon:g}",
        "delta": f"{recipe.delta:g}",
        "policy": recipe.policy if recipe.policy.isidentifier() else "a file",
        "rows": "as published or measured" if recipe.rows is None else str(recipe.rows),
        "reweighted": str(bool(recipe.where or recipe.balance or recipe.given)),
        "deep": str(recipe.deep),
        "seed of sampling and audits": str(recipe.seed),
    }


def _tags(population: str, statement: PrivacyStatement | None, decision: Decision, bundle: Bundle) -> dict[str, str]:
    return {
        "mlflow.runName": bundle.digest[:12],
        "population": population,
        "guarantee": "unverified" if statement is None else "proven",
        "verdict": str(decision.verdict),
        "released": str(bundle.released),
        "bundle": bundle.digest,
    }


def _metrics(statement: PrivacyStatement | None, outcomes: Sequence[Outcome]) -> Iterator[tuple[str, float]]:
    """Finite figures by name: the price, and every finding with its bounds."""
    named: dict[str, float] = {}
    if statement is not None:
        named |= {
            "epsilon": statement.claim.epsilon,
            "delta": statement.claim.delta,
            "population epsilon": statement.population_epsilon,
        }
    for outcome in outcomes:
        named[f"seconds/{outcome.audit}"] = outcome.seconds
        for finding in outcome.findings:
            name = "/".join(part for part in (finding.audit, finding.quantity, finding.subject) if part)
            named[name] = finding.estimate
            if finding.strict.low < finding.strict.high:
                named |= {f"{name}/low": finding.interval.low, f"{name}/high": finding.interval.high}
    for name, value in named.items():
        if abs(value) < float("inf"):
            yield FORBIDDEN.sub("_", name)[:250], value
