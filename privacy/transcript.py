"""What a run was answered, kept so that a run that was stopped goes on, and why nothing is then learned twice.

A stopped run goes on under its own charge if, and only if, whatever anybody may have seen of it is what the run that
goes on will use. Three rules make it so.

1. *Written before used.* An answer is on the disk before `PrivacyFilter` hands it to anybody. So an answer that is not
   on the disk was seen by nobody: not by the generator, hence in no later question, no saved state, no message and no
   table. It died with its process and may be drawn anew, with fresh noise.
2. *Never drawn again.* An answer that is on the disk is given again as it is, whatever it was that stopped the run, and
   its cost is spent again in the same filter, under the same charge. Each question the plan paid for is thus answered
   once, and the answers together are one run of the mechanisms that were charged. Which questions come later may depend
   on earlier answers; the filter covers that. Fresh noise for what nobody saw, rather than the same noise once more, is
   deliberate: had a question changed in its last bit (another processor, another thread order), equal noise on both
   would show their difference exactly.
3. *One at a time, and forwards.* A lock that dies with its process keeps two runs from going on at once. The ledger
   records how many answers there were, and their digest, whenever a run goes on and once it is fitted; a transcript
   that is shorter, or another, is refused. So a copy from before, put back by a restored backup, cannot draw anew what
   was drawn after it: beyond the last mark only answers that no bundle can rest on are lost.

Hence going on is post-processing of one transcript wherever the run was stopped, even after its bundle was published:
nothing is then left to draw. What a checkpoint adds to what an observer sees is that it is there, its size and the
marks in the ledger: numbers of answers, which follow from the plan and from when the run was stopped.

Beside the answers lie secrets (the coins of the assignment, the shards of units) and states of the networks. A state is
computed from answers alone: it saves time, and nothing rests on it. All of it is as sensitive as the table (`raw`
class): encrypted, bound to the table's digest by the first secret, erased at the end (`privacy.checkpoint`).

What is assumed: that nobody reads the memory of a dead process, and that the disk holds what the system says it has
written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from privacy.cost import PrivacyCost
from privacy.errors import ReleaseError

Answer = TypeVar("Answer")


class CheckpointError(ReleaseError):
    """What an earlier run kept cannot be gone on from."""

    code = "checkpoint"
    title = "The stopped run cannot go on"


class Kept(Protocol):
    """Where answers are kept between runs."""

    @property
    def records(self) -> Sequence[bytes]:
        """What was appended, in order."""
        ...

    def append(self, record: bytes) -> None:
        """Add a record; it is on the disk when this returns."""
        ...

    def head(self, n: int) -> str:
        """Digest of the first n records, in hex."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Replace a state, at once or not at all."""
        ...

    def get(self, name: str) -> bytes | None:
        """A state; None where there is none."""
        ...


class Transcript:
    """Answers of an earlier run first, then new ones, each kept before it is given.

    Args:
        kept: what there is, and where more goes.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._given = 0

    @property
    def answers(self) -> int:
        """How many answers are kept."""
        return len(self._kept.records)

    def head(self, answers: int) -> str:
        """Digest of so many answers."""
        return self._kept.head(answers)

    def answer(self, question: str, cost: PrivacyCost, draw: Callable[[], Answer]) -> Answer:
        """The answer to the next question: as it was given before, or drawn, kept and then given.

        Args:
            question: public description of what is asked; it must be the one asked before.
            cost: what the answer cost.
            draw: draws it.

        Raises:
            CheckpointError: the earlier run asked something else here.
        """
        if self._given == self.answers:
            drawn = draw()
            self._kept.append(_encoded(question, cost, drawn))
            self._given += 1
            return drawn
        asked, _, answered = _decoded(self._kept.records[self._given])
        if asked != question:
            raise CheckpointError(
                "The run asks another question than the one that was stopped did.",
                why="An answer is good for its own question; drawn anew it would be paid for once and given twice.",
                fix="Go on with the version, schema and options of the stopped run, or charge anew with another "
                "--request.",
            )
        self._given += 1
        earlier: Answer = answered
        return earlier

    def keep(self, name: str, state: bytes) -> None:
        """Keep a state that was computed from the answers so far, in place of the last one of its name."""
        self._kept.put(name, self._given.to_bytes(8, "big") + state)

    def resumed(self, name: str) -> tuple[bytes, PrivacyCost] | None:
        """The state last kept under a name, and the cost of the answers it rests on that were not given yet.

        They count as given. None where there is no such state, or the run is past it.
        """
        found = self._kept.get(name)
        if found is None:
            return None
        n = int.from_bytes(found[:8], "big")
        if not self._given <= n <= self.answers:
            return None
        cost = PrivacyCost()
        for record in self._kept.records[self._given : n]:
            cost = cost + _decoded(record)[1]
        self._given = n
        return found[8:], cost


def _encoded(question: str, cost: PrivacyCost, answer: Any) -> bytes:
    """A line of JSON, then the answer's bytes."""
    head: dict[str, Any] = {"question": question, "cost": cost.to_json()}
    if isinstance(answer, bytes):
        body = answer
    elif isinstance(answer, int | np.integer):
        head["number"], body = int(answer), b""
    elif isinstance(answer, np.ndarray) and answer.dtype == np.int64:
        head["shape"], body = list(answer.shape), answer.astype("<i8").tobytes()
    else:
        raise TypeError("answers are whole numbers, vectors of them, or bytes")
    return json.dumps(head).encode() + b"\n" + body


def _decoded(record: bytes) -> tuple[str, PrivacyCost, Any]:
    line, body = record.split(b"\n", 1)
    head = json.loads(line)
    answer: Any = body
    if "number" in head:
        answer = head["number"]
    elif "shape" in head:
        answer = np.frombuffer(body, dtype="<i8").astype(np.int64).reshape(head["shape"])
    return head["question"], PrivacyCost.from_json(head["cost"]), answer
