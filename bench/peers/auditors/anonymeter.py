"""anonymeter: singling out, linkability and inference, by as many attacks as there are rows to compare with."""

from __future__ import annotations

import warnings
from typing import Any

from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator

from bench.peers.auditors.answers import Tables, main

MAX_ATTACKS = 2_000
ATTEMPTS = 200_000


def singling_out(tables: Tables) -> str:
    """Conjunctions over three columns, its own default."""
    made = SinglingOutEvaluator(
        ori=tables.train,
        syn=tables.synthetic,
        control=tables.control,
        n_attacks=_attacks(tables),
        max_attempts=ATTEMPTS,
    )
    return _risk(made.evaluate(mode="multivariate"))


def linkability(tables: Tables) -> str:
    """Every other column in one hand, the rest in another."""
    names = list(tables.train.columns)
    made = LinkabilityEvaluator(
        ori=tables.train, syn=tables.synthetic, control=tables.control, n_attacks=_attacks(tables),
        aux_cols=(names[::2], names[1::2]),
    )  # fmt: skip
    return _risk(made.evaluate(n_jobs=1))


def inference(tables: Tables) -> str:
    """Every column in turn from all others; the worst, which is read as if it were the only one."""
    found = []
    for secret in tables.train.columns:
        made = InferenceEvaluator(
            ori=tables.train, syn=tables.synthetic, control=tables.control, n_attacks=_attacks(tables), secret=secret,
            aux_cols=[name for name in tables.train.columns if name != secret], regression=secret in tables.numbers,
        )  # fmt: skip
        risk = made.evaluate(n_jobs=1).risk()
        found.append((risk.value, risk.ci, secret))
    value, (low, high), secret = max(found)
    return f"risk {value:.3f} ({low:.3f} to {high:.3f}), {secret}"


def _attacks(tables: Tables) -> int:
    return min(MAX_ATTACKS, len(tables.control), len(tables.synthetic))


def _risk(made: Any) -> str:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        risk = made.risk()
    low, high = risk.ci
    words = "; it warns that attacks failed" if said else ""
    return f"risk {risk.value:.3f} ({low:.3f} to {high:.3f}){words}"


if __name__ == "__main__":
    main({"singling out": singling_out, "linkability": linkability, "attribute inference": inference})
