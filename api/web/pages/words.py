"""Numbers, times and states as pages say them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from audits.release.report import show

DIGEST = re.compile(r"[0-9a-f]{40,}")

STATES = {
    "registered": ("wait", "registered, no table yet"),
    "checking": ("wait", "table is being checked"),
    "refused": ("bad", "table refused"),
    "ready": ("good", "ready"),
    "erasing": ("wait", "being erased"),
    "erased": ("muted", "erased"),
    "queued": ("wait", "queued"),
    "running": ("wait", "running"),
    "review": ("wait", "in review"),
    "approved": ("good", "approved, being published"),
    "published": ("good", "released"),
    "rejected": ("bad", "rejected"),
    "withheld": ("bad", "withheld by the gate"),
    "failed": ("bad", "failed"),
    "cancelled": ("muted", "cancelled"),
    "withdrawn": ("bad", "withdrawn"),
    "expired": ("muted", "expired"),
    "done": ("good", "done"),
    "drift": ("bad", "drift"),
    "steady": ("good", "steady"),
    "unclear": ("wait", "unclear"),
}


def state_words(state: str) -> str:
    """A state of a dataset or release."""
    return STATES[state][1]


def state_kind(state: str) -> str:
    """The style a state is shown in; its words say it too."""
    return STATES[state][0]


def epsilon_words(epsilon: float, delta: float) -> str:
    """What epsilon means to one person, for the strongest attacker there could be.

    The success of the best test between "in the table" and "not in it", from even odds, is at most
    (e^epsilon + delta) / (1 + e^epsilon) (Kairouz, Oh and Viswanath 2015, from the region of an (epsilon, delta) test).
    """
    ratio = math.exp(min(epsilon, 700.0))
    right = min(1.0, (ratio + delta) / (1.0 + ratio))
    shown = f"{100 * right:.0f}" if right < 0.995 else f"{min(100 * right, 99.99):.2f}"
    return (
        f"Somebody who knows everything about a person but whether they are in the table, and would have to guess "
        f"by a coin, can after the release be right with a chance of at most {shown}% instead of 50%."
    )


def epsilon_strength(epsilon: float) -> str:
    """A rough word for a value of epsilon, as practice uses it."""
    for limit, word in ((1.0, "strong"), (3.0, "good"), (6.0, "moderate"), (10.0, "weak")):
        if epsilon <= limit:
            return word
    return "very weak"


def moment(text: str) -> str:
    """A time for people: day and minute, in UTC."""
    return text[:16].replace("T", " ") if text else "–"


def size(n_bytes: float) -> str:
    """A size for people."""
    for unit in ("bytes", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"


def duration(seconds: float) -> str:
    """A time span for people, roughly."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def brief(value: Any) -> str:
    """A fact for people: of a digest as much as tells it from others, of a list its items."""
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    text = str(value)
    return f"{text[:12]}…" if DIGEST.fullmatch(text) else text


FILTERS: dict[str, Callable[..., Any]] = {
    "state_words": state_words,
    "state_kind": state_kind,
    "epsilon_words": epsilon_words,
    "epsilon_strength": epsilon_strength,
    "moment": moment,
    "size": size,
    "duration": duration,
    "brief": brief,
    "number": show,
}
