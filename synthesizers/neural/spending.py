"""Progress of a private training: how far it is and what it has spent, by the accountant of the claim. Nothing else.

A loss on real rows, the size of a drawn sample or the length of a gradient would be private values without noise.
"""

from __future__ import annotations

from collections.abc import Callable

from privacy.accounting import epsilon_of
from privacy.filter import PrivacyFilter
from synthesizers.protocol import Progress

TOLD = 10
"""How often what was spent is worked out again, over a whole training: loss distributions take a while."""


def spending(what: str, steps: int, delta: float, privacy: PrivacyFilter, progress: Progress) -> Callable[[int], None]:
    """A function to be told before every step, and once more at the end, how many steps are done.

    Args:
        what: a step, in words.
        steps: how many there will be.
        delta: total delta of the release.
        privacy: what was spent.
        progress: told the words; it may end the run by raising.
    """
    words = ""

    def tell(done: int) -> None:
        nonlocal words
        if not words or done % max(1, steps // TOLD) == 0 or done == steps:
            spent = epsilon_of(privacy.spent, delta)
            words = f"training, {done} of {steps} {what} done (epsilon so far {spent:.3g})"
        progress(words)

    return tell
