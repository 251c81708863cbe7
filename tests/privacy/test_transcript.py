"""Answers kept before they are given, given again, and never drawn twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pytest

from privacy.cost import Gaussian, PrivacyCost, SampledGaussian, once
from privacy.errors import OverspendError
from privacy.filter import PrivacyFilter
from privacy.mechanisms import ExponentialMechanism, GaussianMechanism, SampledGaussianMechanism
from privacy.noise import NoiseSource, system_noise
from privacy.transcript import CheckpointError, Transcript

COUNT = GaussianMechanism(l2_sensitivity=1, stddev=5.0)
STEP = SampledGaussianMechanism(sampling_rate=0.5, l2_sensitivity=1, stddev=5.0)
CHOICE = ExponentialMechanism(sensitivity=1, epsilon=0.1)
CHARGED = COUNT.cost * 2 + STEP.cost * 3 + CHOICE.cost


def nobody(taken: np.ndarray) -> np.ndarray:
    """A sum nobody is in."""
    return np.array([0 * int(taken.sum())])


@dataclass
class InMemory:
    """What outlives a run. `full` refuses to keep any more, as a disk does."""

    records: list[bytes] = field(default_factory=list)
    states: dict[str, bytes] = field(default_factory=dict)
    full: bool = False

    def append(self, record: bytes) -> None:
        if self.full:
            raise OSError("no space left")
        self.records.append(record)

    def head(self, n: int) -> str:
        return hashlib.sha256(b"".join(self.records[:n])).hexdigest()

    def put(self, name: str, content: bytes) -> None:
        self.states[name] = content

    def get(self, name: str) -> bytes | None:
        return self.states.get(name)


class Counted(NoiseSource):
    """The system's noise; counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(system_noise()._read, is_secret=True)
        self.asked = 0

    def words(self, n: int) -> np.ndarray:
        self.asked += 1
        return super().words(n)


def run(kept: InMemory, noise: NoiseSource, upto: int = 8, values: int = 1000) -> tuple[list[object], PrivacyCost]:
    """Ask the first questions of a plan; what was answered, and what it cost."""
    privacy = PrivacyFilter(CHARGED, noise, Transcript(kept))
    value, units = np.full(3, values), np.arange(50)

    def total(taken: np.ndarray) -> np.ndarray:
        return np.array([taken.sum() * 100])

    questions = [
        lambda: privacy.secret("coins", lambda: noise.words(4).tobytes()),
        lambda: privacy.measure(COUNT, value).tolist(),
        lambda: privacy.measure(CHOICE, np.array([1, 5, 2])),
        lambda: privacy.shards(units, 7).tolist(),
        lambda: privacy.measure_sample(STEP, units, total).tolist(),
        lambda: privacy.measure_sample(STEP, units, total).tolist(),
        lambda: privacy.measure_sample(STEP, units, total).tolist(),
        lambda: privacy.measure(COUNT, value).tolist(),
    ]
    answers = [question() for question in questions[:upto]]
    return answers, privacy.spent


@pytest.mark.parametrize("stopped_after", range(9))
def test_a_run_that_goes_on_is_the_one_that_was_stopped(stopped_after: int) -> None:
    """Wherever it stopped: what was answered is answered alike, drawn once, and paid for once."""
    kept, noise = InMemory(), Counted()
    before, _ = run(kept, noise, stopped_after)
    drawn = noise.asked
    again, spent = run(kept, noise)
    assert again[:stopped_after] == before
    assert run(kept, noise)[0] == again  # and once more: nothing is left to draw
    assert spent.merged == CHARGED.merged
    unbroken = Counted()
    run(InMemory(), unbroken)
    if stopped_after == 8:
        assert noise.asked == drawn
    # Refinement of a draw in doubt asks once more, which happens once in 10^5 draws: at most 1 in 500 for these.
    assert abs(noise.asked - unbroken.asked) <= 1


def test_earlier_answers_do_not_follow_another_table() -> None:
    """The transcript is all a run that goes on learns of the steps that are done."""
    kept = InMemory()
    before, _ = run(kept, system_noise(), 5)
    after, _ = run(kept, system_noise(), 5, values=-(10**9))
    assert after == before


def test_nobody_gets_an_answer_that_could_not_be_kept() -> None:
    kept = InMemory(full=True)
    privacy = PrivacyFilter(CHARGED, system_noise(), Transcript(kept))
    with pytest.raises(OSError, match="no space"):
        privacy.measure(COUNT, np.array([1]))
    assert kept.records == []
    kept.full = False
    assert len(run(kept, system_noise())[0]) == 8


def test_another_question_is_not_answered() -> None:
    kept = InMemory()
    run(kept, system_noise(), 2)
    privacy = PrivacyFilter(CHARGED, system_noise(), Transcript(kept))
    privacy.secret("coins", bytes)
    for other in (GaussianMechanism(l2_sensitivity=1, stddev=6.0), STEP):
        with pytest.raises(CheckpointError, match="another question"):
            privacy.measure(other, np.array([1]))


def test_what_was_spent_before_counts_against_the_charge() -> None:
    kept = InMemory()
    run(kept, system_noise())
    privacy = PrivacyFilter(COUNT.cost + CHOICE.cost, system_noise(), Transcript(kept))
    privacy.secret("coins", bytes)
    privacy.measure(COUNT, np.array([1]))
    privacy.measure(CHOICE, np.array([1, 2, 3]))
    privacy.shards(np.arange(50), 7)
    with pytest.raises(OverspendError):
        privacy.measure_sample(STEP, np.arange(50), nobody)


def test_a_state_takes_the_answers_it_rests_on_with_it() -> None:
    kept = InMemory()
    first = PrivacyFilter(CHARGED, system_noise(), Transcript(kept))
    first.measure(COUNT, np.array([1]))
    answers = []
    for i in range(3):
        answers.append(first.measure_sample(STEP, np.arange(9), nobody).tolist())
        if i == 1:
            first.keep("training", lambda: b"after two steps")
    again = PrivacyFilter(CHARGED, system_noise(), Transcript(kept))
    again.measure(COUNT, np.array([1]))
    assert again.resumed("another") is None
    assert again.resumed("training") == b"after two steps"
    assert again.spent.merged == (COUNT.cost + STEP.cost * 2).merged
    third = again.measure_sample(STEP, np.arange(9), lambda taken: nobody(taken) + 10**9)
    assert third.tolist() == answers[2]
    assert again.resumed("training") is None  # the run is past it
    assert len(kept.records) == 4


def test_a_state_of_answers_that_are_gone_is_not_used() -> None:
    kept = InMemory()
    first = PrivacyFilter(CHARGED, system_noise(), Transcript(kept))
    first.measure(COUNT, np.array([1]))
    first.keep("training", lambda: b"after one")
    kept.records.clear()
    assert PrivacyFilter(CHARGED, system_noise(), Transcript(kept)).resumed("training") is None


def test_only_whole_numbers_and_bytes_are_kept() -> None:
    with pytest.raises(TypeError):
        Transcript(InMemory()).answer("a float", PrivacyCost(), lambda: 0.5)


def test_a_filter_without_a_transcript_keeps_nothing() -> None:
    privacy = PrivacyFilter(once(Gaussian(1.0)) + once(SampledGaussian(0.5, 1.0)), system_noise())
    assert privacy.secret("coins", lambda: b"x") == b"x"
    privacy.keep("training", lambda: pytest.fail("nobody asked for a state"))
    assert privacy.resumed("training") is None
