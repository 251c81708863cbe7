"""The empirical certificate of a generator: what thousands of runs on worst-case neighbours could prove against it.

A certificate belongs to sources, not to a data set: it names the digest of the files it was made with, and goes stale
with them. It can only falsify. Its ceiling is the largest epsilon that many runs could have proven, which is printed
beside the bound so that silence is not mistaken for proof (`audits.md` 2.6; Nasr et al. 2023).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from audits.errors import PolicyError

FOLDER = Path(__file__).parent / "certificates"
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One generator's certificate. Public.

    Attributes:
        synthesizer: name of the generator.
        code_digest: `code_digest` of the sources that were run.
        epsilon_claimed, delta: what the runs promised.
        epsilon_lower_bound: the largest epsilon the runs refute anything below, at `confidence`.
        confidence: of the lower bound, in (0, 1).
        runs_per_side: runs with, and runs without, the differing unit.
        ceiling: the lower bound a perfect attack would have reached in that many runs.
        mu_allowed: Gaussian trade-off parameter (Dong, Roth & Su 2022) that epsilon and delta allow.
        mu_charged: the one that the charged events allow: sqrt(2 rho) of their zCDP. Below `mu_allowed` where epsilon
            was computed from Rényi curves.
        mu_realised: the one that the mechanisms as declared had on these neighbours, from their divergence.
        mu_found, mu_error: the one the attack showed, and its standard error.
        statistic: what was looked at.
    """

    synthesizer: str
    code_digest: str
    epsilon_claimed: float
    delta: float
    epsilon_lower_bound: float
    confidence: float
    runs_per_side: int
    ceiling: float
    mu_allowed: float
    mu_charged: float
    mu_realised: float
    mu_found: float
    mu_error: float
    statistic: str


def standing(certificate: Certificate | None, *, synthesizer: str, code_digest: str) -> tuple[str, ...]:
    """What is wrong with a certificate for these sources; empty when it stands."""
    if certificate is None:
        return ("there is no certificate of this generator",)
    found = []
    if certificate.synthesizer != synthesizer:
        found.append("the certificate is of another generator")
    if certificate.code_digest != code_digest:
        found.append("the certificate is stale: the generator's sources have changed since")
    if not certificate.epsilon_lower_bound <= certificate.epsilon_claimed:
        found.append("the runs refute the epsilon they claimed")
    return tuple(found)


def code_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over named sources: folder and file name, and content, whatever order they are given in.

    Raises OSError when one cannot be read.
    """
    state = hashlib.sha256()
    for name, content in sorted((f"{p.parent.name}/{p.name}", p.read_bytes()) for p in paths):
        state.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return state.hexdigest()


def load_certificate(synthesizer: str, folder: Path = FOLDER) -> Certificate | None:
    """The stored certificate of a generator, None if there is none.

    Raises:
        PolicyError: the file is there and is not a certificate.
    """
    if not NAME.fullmatch(synthesizer):
        return None
    path = folder / f"{synthesizer}.json"
    if not path.exists():
        return None
    try:
        return Certificate(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise PolicyError(
            f"The certificate '{path.name}' is not readable.",
            why="A generator without a certificate is not let through.",
            fix="Make it again with `make certify`.",
        ) from error


def store_certificate(certificate: Certificate, folder: Path = FOLDER) -> Path:
    """Write a certificate as NAME.json; returns its path. Raises ValueError for a name that is no plain word."""
    if not NAME.fullmatch(certificate.synthesizer):
        raise ValueError("a synthesizer's name is lower-case letters, digits and hyphens")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{certificate.synthesizer}.json"
    path.write_text(json.dumps(asdict(certificate), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path
