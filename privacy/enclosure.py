"""Monotone functions of a uniform, enclosed over a random cell at any precision: what decides a draw in doubt.

A *cell* [w, w + 1) / 2^b is all that is known of a uniform variable whose first b bits were read. Each function here
returns two rationals (or infinities) between which the values of f over the whole cell lie, proved by interval
arithmetic at a precision that grows with b. `privacy.noise` asks only where double precision does not decide; the
argument that the draws are exact is there. Assumed is that mpmath's interval `log`, `exp` and `sqrt` enclose the truth.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, TypeAlias

from mpmath.ctx_iv import MPIntervalContext
from mpmath.libmp import to_rational
from scipy.special import ndtri_exp

Exact: TypeAlias = Fraction | float
"""A rational, or an infinity."""

WORD = 64
"""Bits read at a time."""


def exponential_enclosure(cell: int, bits: int) -> tuple[Exact, Exact]:
    """Encloses -ln(1 - v) over the cell v in [cell, cell + 1] / 2^bits.

    Args:
        cell: numerator, from 0 to 2^bits - 1.
        bits: how many bits were read, a multiple of WORD.

    Returns:
        Bounds from below and above; infinity from above on the last cell.
    """
    context = _context(bits)
    low = _ends(_minus_log1m(cell, bits, context))[0]
    return low, math.inf if cell + 1 == 1 << bits else _ends(_minus_log1m(cell + 1, bits, context))[1]


def gumbel_enclosure(cell: int, bits: int) -> tuple[Exact, Exact]:
    """Encloses -ln(-ln(1 - v)) over the cell v in [cell, cell + 1] / 2^bits.

    Args:
        cell: numerator, from 0 to 2^bits - 1.
        bits: how many bits were read, a multiple of WORD.

    Returns:
        Bounds from below and above; minus infinity on the last cell, infinity on the first.
    """
    context = _context(bits)
    low: Exact = -math.inf
    high: Exact = math.inf
    if cell + 1 < 1 << bits:
        low = _ends(-context.log(_minus_log1m(cell + 1, bits, context)))[0]
    if cell > 0:
        high = _ends(-context.log(_minus_log1m(cell, bits, context)))[1]
    return low, high


def normal_enclosure(cell: int, bits: int) -> tuple[Exact, Exact]:
    """Encloses -Phi^-1(p) over the cell p in [cell, cell + 1] / 2^bits by interval Newton steps, which prove the root.

    With Q the upper tail, p the cell and x the root, x = t + (Q(t) - p) / phi(y) for some y between t and x (mean value
    theorem). If the right side, taken over all y of an interval around t, falls inside that interval, it encloses the
    roots of every p of the cell.

    Args:
        cell: numerator, from 0 to 2^(bits - 1) - 1: a lower half, so that the root is at least 0.
        bits: how many bits were read, a multiple of WORD.

    Returns:
        Bounds from below and above; both infinite where the steps prove nothing yet, as on the first cell.

    Source: Moore, Kearfott & Cloud 2009, "Introduction to interval analysis", theorem 8.3.
    """
    context = _context(bits)
    p = context.mpf([cell, cell + 1]) / (1 << bits)
    guess = float(-ndtri_exp(math.log(2 * cell + 1) - (bits + 1) * math.log(2)))
    middle, radius = Fraction(max(guess, 0.0)), Fraction(1, 1 << 36)
    unknown: tuple[Exact, Exact] = (-math.inf, math.inf)
    found = unknown
    for _ in range(bits // WORD):
        around = _interval(context, middle - radius, middle + radius)
        density = context.exp(-around * around / 2) / context.sqrt(2 * context.pi)
        step = _ends((_upper_tail(middle, context) - p) / density)
        low, high = middle + step[0], middle + step[1]
        if found is unknown and not (middle - radius < low and high < middle + radius):
            return unknown
        found = low, high
        middle = max(_dyadic((low + high) / 2, context.prec), Fraction(0))
        radius = high - low + Fraction(1, 1 << context.prec)
    return found


def _minus_log1m(numerator: int, bits: int, context: Any) -> Any:
    """Encloses -ln(1 - numerator / 2^bits)."""
    return -context.log(context.mpf((1 << bits) - numerator) / (1 << bits))


def _upper_tail(t: Fraction, context: Any) -> Any:
    """Encloses P(N(0, 1) > t), t >= 0, by 1/2 - phi(t) * (t + t^3 / 3 + t^5 / (3 * 5) + ...).

    The sum runs in integers, units of 2^-precision: once rounded down, once up. All terms are positive.
    """
    precision = context.prec
    low_term = math.floor(t * 2**precision)
    high_term = low_term + 1
    low_square = math.floor(t * t * 2**precision)
    high_square = low_square + 1
    low_sum, high_sum, odd = low_term, high_term, 1
    while high_term > 2 or 2 * high_square > odd << precision:
        odd += 2
        low_term = (low_term * low_square >> precision) // odd
        high_term = (high_term * high_square >> precision) // odd + 1
        low_sum, high_sum = low_sum + low_term, high_sum + high_term
    # From here each term is at most half the one before: what is left is no more than the last.
    total = context.mpf([low_sum, high_sum + high_term]) / (1 << precision)
    point = _interval(context, t, t)
    return context.mpf(1) / 2 - context.exp(-point * point / 2) / context.sqrt(2 * context.pi) * total


def _context(bits: int) -> Any:
    """Interval arithmetic of our own (mpmath's is shared by the process), fine enough for a tail as small as a cell."""
    context = MPIntervalContext()
    context.prec = 2 * bits + WORD
    return context


def _interval(context: Any, low: Fraction, high: Fraction) -> Any:
    return context.mpf([context.mpf(low.numerator) / low.denominator, context.mpf(high.numerator) / high.denominator])


def _ends(interval: Any) -> tuple[Fraction, Fraction]:
    """Both ends as the rationals they are."""
    low, high = interval._mpi_
    return Fraction(*to_rational(low)), Fraction(*to_rational(high))


def _dyadic(value: Fraction, bits: int) -> Fraction:
    return Fraction(math.floor(value * 2**bits), 1 << bits)
