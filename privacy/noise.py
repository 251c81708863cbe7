"""The one source of randomness that protects people, and exact draws from it.

Why exact. A double-precision Gaussian added to a double-precision value leaves patterns in the low-order bits that
tell neighbouring tables apart (Mironov 2012, "On significance of the least significant bits for differential
privacy"). Rounding such a sample to an integer removes the bits but not the fault: each integer's mass is then off by
what the floating-point sample is off, and over 10^8 draws that adds up to more than a delta of 1e-6. So values are
put on an integer grid, and the noise put on them has *exactly* the law the accountant is told.

The Gaussian. For an integer S, S + round(Z) = round(S + Z). What leaves is therefore a function of S + Z, with Z an
ideal real Gaussian: post-processing, so every guarantee of the ideal mechanism holds unchanged, for vectors and for
adaptive sequences alike. It remains to draw round(Z) with its exact law.

How (lazy rounding, after Ziv 1991, "Fast evaluation of elementary mathematical functions with correctly rounded last
bit"). Let U be uniform on (0, 1) with infinitely many random bits, f monotone, X = f(U) the ideal variable; we want
floor(X). Reading b bits leaves U in a *cell* [w, w + 1) / 2^b, so X lies between the values of f at the cell's two
ends. If both, moved outwards by the error bound of the library function, have the same floor, then floor(X) is that
integer whatever the unread bits are, and the answer is the one the ideal variable gives. Otherwise further bits are
appended to the *same* cell and f is enclosed by interval arithmetic at growing precision (`privacy.enclosure`), until
the ends agree. Every accepted answer equals floor(f(U)), nothing is thrown away, so the law is exact. A cell on which f
is unbounded is never accepted before it is refined. After MAX_BITS bits a draw is abandoned with an error: by chance
with probability below 2^-900, so in practice only if the generator is broken.

The laws. Gaussian: a sign bit and |Z| = -stddev * Phi^-1(U / 2). Discrete Laplace (Ghosh et al. 2012; Canonne,
Kamath & Steinke 2020, "The discrete Gaussian for differential privacy"): the difference of two geometrics
floor(scale * E), with E = -ln(1 - U) a standard exponential. Selection: the Gumbel-max identity: the index of the
largest rate * score - ln E has probability proportional to exp(rate * score); candidates are compared by the
enclosures of their keys, and only those that still may win are refined. A parameter given as a float stands for
that float's exact binary value.

What is assumed. (1) The operating system's generator: the guarantee is computational, as strong as that generator.
(2) Error bounds: the doubles returned by `ndtri`, `log` and `log1p` are within RELATIVE and ABSOLUTE of the truth
(fifty times and more the error the tests measure), and mpmath's interval `log`, `exp` and `sqrt` enclose the truth.
(3) Nobody times a draw: refinement takes longer, and in `select` whether it is needed depends on the scores.

A source whose `is_secret` is false (`seeded_noise`, for tests) protects nobody, since whoever has the seed can
subtract the noise: whatever it touched carries `dp_valid = false`, and the gate refuses it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from scipy.special import ndtri

from privacy.enclosure import WORD, Exact, exponential_enclosure, gumbel_enclosure, normal_enclosure

Words: TypeAlias = npt.NDArray[np.uint64]
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

MAX_BITS = 16 * WORD
LARGEST_SCALE = 2.0**50
"""Noise any wider might not fit an int64; long before, at 2^40, most draws need refinement and take a millisecond."""
LARGEST_RATE = 2.0**64
CHUNK = 1 << 15
"""Words handled at a time, so that intermediate arrays stay in cache."""

RELATIVE = 1e-13
ABSOLUTE = 1e-15
"""Bounds on the error of library functions, and of the few roundings around them (2^-53 each)."""


class NoiseSource:
    """Exact draws from a stream of random bytes.

    Args:
        read: returns that many uniform random bytes; must be safe in threads and forked children.
        is_secret: whether nobody can know or repeat the bytes.
    """

    def __init__(self, read: Callable[[int], bytes], *, is_secret: bool) -> None:
        self._read = read
        self.is_secret = is_secret

    def words(self, n: int) -> Words:
        """Independent uniform 64-bit words, shape (n,).

        Raises:
            ValueError: `n` is negative.
            RuntimeError: the source returned fewer bytes than asked.
        """
        if n < 0:
            raise ValueError("the number of draws is at least 0")
        drawn = self._read(8 * n)
        if len(drawn) != 8 * n:
            raise RuntimeError("the random source returned fewer bytes than asked")
        return np.frombuffer(drawn, dtype="<u8").astype(np.uint64, copy=False)

    def rounded_gaussian(self, stddev: float, shape: tuple[int, ...]) -> Integers:
        """round(Z) for independent Z ~ N(0, stddev^2), exactly; int64 of the shape asked.

        Args:
            stddev: of the Gaussian before rounding, in (0, 2^50).
            shape: of the result.

        Raises:
            ValueError: `stddev` is out of its range.

        Source: the module's argument; generators.md 2.7.
        """
        words = self.words(math.prod(shape))
        magnitude = self._floors(words >> np.uint64(1), _NORMAL, _scale("stddev", stddev), 0.5)
        return np.where(words & np.uint64(1), magnitude, -magnitude).reshape(shape)

    def discrete_laplace(self, scale: float, shape: tuple[int, ...]) -> Integers:
        """Independent integers x with probability proportional to exp(-|x| / scale), exactly.

        Args:
            scale: in (0, 2^50).
            shape: of the result.

        Raises:
            ValueError: `scale` is out of its range.

        Source: Canonne, Kamath & Steinke 2020, section 5.2 (the law); the module's argument (the draw).
        """
        n = math.prod(shape)
        geometric = self._floors(self.words(2 * n), _EXPONENTIAL, _scale("scale", scale), 0.0)
        return (geometric[:n] - geometric[n:]).reshape(shape)

    def select(self, scores: Integers, rate: float) -> int:
        """An index i with probability proportional to exp(rate * scores[i]), exactly.

        Args:
            scores: integers, shape (k,).
            rate: in [0, 2^64]; epsilon / (2 * sensitivity) for the exponential mechanism.

        Raises:
            ValueError: `scores` is empty or not a vector, or `rate` is out of its range.
            TypeError: `scores` are not integers.

        Source: McSherry & Talwar 2007 (the mechanism); Gumbel 1954 (the maximum); the module's argument (the draw).
        """
        if scores.ndim != 1 or not scores.size:
            raise ValueError("scores are a vector of at least one")
        if not np.issubdtype(scores.dtype, np.signedinteger):
            raise TypeError("scores are signed integers")
        if not 0 <= rate <= LARGEST_RATE:
            raise ValueError("the rate is at least 0 and at most 2^64")
        # Unsigned arithmetic wraps, so the gap to the best is exact whatever the scores are.
        unsigned = np.ascontiguousarray(scores, dtype=np.int64).view(np.uint64)
        gaps = unsigned[[int(scores.argmax())]] - unsigned
        words = self.words(len(gaps))
        low, high = _gumbel_bounds(words)
        handicap = float(rate) * gaps.astype(np.float64)
        slack = RELATIVE * handicap
        low, high = low - handicap - slack, high - handicap + slack
        alive = np.flatnonzero(high >= low.max())
        return int(alive[0]) if len(alive) == 1 else self._select_exactly(alive, words, gaps, Fraction(float(rate)))

    def categories(self, probabilities: Sequence[float], n: int) -> Integers:
        """Independent categories with public probabilities, realised to 2^-64; the last takes the rest.

        Args:
            probabilities: of categories 0, 1, ...; they sum to 1 up to float rounding.
            n: how many to draw.

        Raises:
            ValueError: probabilities outside [0, 1], or not summing to 1; `n` is negative.
        """
        if not all(0 <= p <= 1 for p in probabilities) or abs(math.fsum(probabilities) - 1) > 1e-9:
            raise ValueError("probabilities are in [0, 1] and sum to 1")
        total, thresholds = Fraction(0), []
        for probability in probabilities[:-1]:
            total += Fraction(float(probability))
            thresholds.append(math.floor(total * 2**WORD))
        reachable = np.array([t for t in thresholds if t < 2**WORD], dtype=np.uint64)
        return np.searchsorted(reachable, self.words(n), side="right").astype(np.int64)

    def _floors(self, words: Words, law: _Law, scale: float, offset: float) -> Integers:
        """floor(scale * X + offset) for X the law's value in each word's cell."""
        result = np.empty(len(words), dtype=np.int64)
        for start in range(0, len(words), CHUNK):
            chunk = words[start : start + CHUNK]
            low, high = law.bounds(chunk)
            floor = np.floor(scale * low + offset)
            undecided = np.flatnonzero(floor != np.floor(scale * high + offset))
            part = result[start : start + CHUNK]
            part[:] = floor
            for i in undecided:
                part[i] = self._floor_exactly(int(chunk[i]), law, Fraction(scale), Fraction(offset))
        return result

    def _floor_exactly(self, word: int, law: _Law, scale: Fraction, offset: Fraction) -> int:
        cell, bits = word, WORD
        while True:
            low, high = (scale * end + offset for end in law.enclosure(cell, bits))
            if math.isfinite(high) and math.floor(low) == math.floor(high):
                return math.floor(low)
            cell, bits = self._refine(cell, bits)

    def _select_exactly(self, alive: npt.NDArray[np.intp], words: Words, gaps: Words, rate: Fraction) -> int:
        cells = {int(i): (int(words[i]), WORD) for i in alive}
        while True:
            keys = {}
            for i, (cell, bits) in cells.items():
                low, high = gumbel_enclosure(cell, bits)
                handicap = rate * int(gaps[i])
                keys[i] = low - handicap, high - handicap
            best = max(low for low, _ in keys.values())
            cells = {i: cell for i, cell in cells.items() if keys[i][1] >= best}
            if len(cells) == 1:
                return next(iter(cells))
            cells = {i: self._refine(*cell) for i, cell in cells.items()}

    def _refine(self, cell: int, bits: int) -> tuple[int, int]:
        """The same cell, known to 64 bits more."""
        if bits >= MAX_BITS:
            raise RuntimeError("the random source does not decide a draw: it repeats itself")
        return cell << WORD | int(self.words(1)[0]), bits + WORD


def system_noise() -> NoiseSource:
    """The operating system's cryptographic generator, read without a buffer, so that a fork shares nothing."""
    return NoiseSource(os.urandom, is_secret=True)


def keyed_noise(key: bytes) -> NoiseSource:
    """A stream that whoever has the key can draw again: for secret coins that must fall the same way twice.

    ChaCha20 under a key of 32 bytes, which is used for one purpose and once. As secret as the key.
    """
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
    return NoiseSource(lambda n: stream.update(bytes(n)), is_secret=True)


def seeded_noise(seed: int) -> NoiseSource:
    """Repeatable, for tests only: nothing it touches is private."""
    return NoiseSource(np.random.default_rng(seed).bytes, is_secret=False)


@dataclass(frozen=True, slots=True)
class _Law:
    """A monotone function of a uniform, bounded over random cells: fast in doubles, and exactly at any precision."""

    bounds: Callable[[Words], tuple[Floats, Floats]]
    enclosure: Callable[[int, int], tuple[Exact, Exact]]


def _scale(name: str, value: float) -> float:
    if not 0 < value < LARGEST_SCALE:
        raise ValueError(f"{name} is above 0 and below 2^50")
    return float(value)


def _cell_ends(words: Words) -> tuple[Floats, Floats]:
    """Doubles at or below w / 2^64 and at or above (w + 1) / 2^64; conversion rounds by at most 2^-53, twice."""
    ends = words.astype(np.float64)
    return ends * (2.0**-WORD * (1 - 2.0**-52)), np.minimum((ends + 1) * (2.0**-WORD * (1 + 2.0**-51)), 1.0)


def _widened(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    return low - (RELATIVE * np.abs(low) + ABSOLUTE), high + (RELATIVE * np.abs(high) + ABSOLUTE)


def _normal_bounds(words: Words) -> tuple[Floats, Floats]:
    """Of -Phi^-1(p), p in [w, w + 1] / 2^64, for words below 2^63."""
    start, end = _cell_ends(words)
    return _widened(-ndtri(end), -ndtri(start))


def _exponential_bounds(words: Words) -> tuple[Floats, Floats]:
    """Of -ln(1 - v), v in [w, w + 1] / 2^64."""
    start, end = _cell_ends(words)
    with np.errstate(divide="ignore"):
        return _widened(-np.log1p(-start), -np.log1p(-end))


def _gumbel_bounds(words: Words) -> tuple[Floats, Floats]:
    """Of -ln(-ln(1 - v)), v in [w, w + 1] / 2^64; a relative error e of the inner logarithm moves the outer by e."""
    start, end = _cell_ends(words)
    with np.errstate(divide="ignore"):
        low, high = -np.log(-np.log1p(-end)), -np.log(-np.log1p(-start))
    return _widened(low - 2 * RELATIVE, high + 2 * RELATIVE)


_NORMAL = _Law(_normal_bounds, normal_enclosure)
_EXPONENTIAL = _Law(_exponential_bounds, exponential_enclosure)
