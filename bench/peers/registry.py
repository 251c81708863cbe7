"""The systems ours are measured beside: where a measurement of them begins and what their epsilon leaves out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DRIVERS = Path(__file__).with_name("drivers")
REQUIREMENTS = Path(__file__).with_name("requirements")
"""A file a system: every distribution of its environment, with its version, but for what PyTorch brings along to use a
GPU, which differs between machines."""

ROWS_READ = "categories, ranges and the number of rows are read off the rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Something that is installed in an environment of its own.

    Attributes:
        system: what it is called; its environment, requirements and driver are.
        distribution: with its version.
    """

    system: str
    distribution: str

    @property
    def requirements(self) -> Path:
        """What pip installs."""
        return REQUIREMENTS / f"{self.system}.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(System):
    """One method of an existing generator.

    Attributes:
        method: what the driver calls the method.
        uncovered: what the epsilon it is given does not cover.
        broken: why its guarantee does not hold as stated even for what it covers; empty where we know of nothing.
    """

    method: str
    uncovered: str
    broken: str = ""

    @property
    def name(self) -> str:
        """As tables show it."""
        return f"{self.system} {self.method}"

    @property
    def sources(self) -> str:
        """Digest of what decides a measurement: requirements and driver. Another one makes a measurement stale."""
        files = (self.requirements, DRIVERS / f"{self.system}.py", DRIVERS / "task.py")
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            system="dpmm",
            distribution="dpmm==0.1.9",
            method="aim",
            uncovered=f"{ROWS_READ}, and so is whether a column has missing cells",
        ),
        Peer(
            system="dpmm",
            distribution="dpmm==0.1.9",
            method="mst",
            uncovered=f"{ROWS_READ}, and so is whether a column has missing cells",
        ),
        Peer(
            system="smartnoise",
            distribution="smartnoise-synth==1.0.8",
            method="aim",
            uncovered=f"bins: {ROWS_READ}",
        ),
        Peer(
            system="smartnoise",
            distribution="smartnoise-synth==1.0.8",
            method="mst",
            uncovered=f"bins: {ROWS_READ}",
        ),
        Peer(system="mbi", distribution="mbi==2.0.0", method="aim", uncovered=f"bins: {ROWS_READ}"),
        Peer(system="mbi", distribution="mbi==2.0.0", method="mst", uncovered=f"bins: {ROWS_READ}"),
        Peer(
            system="smartnoise",
            distribution="smartnoise-synth==1.0.8",
            method="dp-ctgan",
            uncovered="categories and the number of rows are read off the rows",
            broken="batches are drawn otherwise than is accounted for, and epsilon is looked at after it is passed",
        ),
        Peer(
            system="smartnoise",
            distribution="smartnoise-synth==1.0.8",
            method="pate-gan",
            uncovered="categories and the number of rows are read off the rows",
            broken="all shards shift when one row goes, and the number of teachers is the number of rows over 1,000",
        ),
        Peer(
            system="synthcity",
            distribution="schneiderkamplab-synthcity==0.2.16",
            method="pate-gan",
            uncovered=ROWS_READ,
            broken="the student is trained on the real rows, and delta is not the one that is asked for",
        ),
        Peer(
            system="synthcity",
            distribution="schneiderkamplab-synthcity==0.2.16",
            method="privbayes",
            uncovered=ROWS_READ,
            broken="noise of the counts is divided by the number of rows, and numbers that leave are real values",
        ),
    )
}

AUDITORS = (
    System(system="anonymeter", distribution="anonymeter==1.1.0"),
    System(system="sdmetrics", distribution="sdmetrics==0.32.0"),
)
