"""Scores of predictions, each with what every row adds to it: its influence, from which paired intervals follow.

An influence has shape (n,), and its variance over n is that of the score; rows of one unit are added up by
`audits.estimates.mean_variance`. The influences of two scores on the same rows may be subtracted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from privacy.columns import Codes, Floats

BINS = 15
"""Of a reliability diagram, equally many rows each."""


def macro_auc(probabilities: Floats, labels: Codes) -> tuple[float, Floats]:
    """Mean one-vs-rest AUC over the classes that occur, and what every row adds to it.

    Args:
        probabilities: shape (n, n_codes), one column for every code, those never learnt included.
        labels: codes of the n rows, at least two different ones.

    Returns:
        The mean area, ties counted half, and influences of shape (n,) whose mean is 0 and whose variance over n is
        DeLong's variance of the area.

    Source: DeLong, DeLong & Clarke-Pearson 1988, equations 4 to 6, by mid-ranks as Sun & Xu 2014; the macro mean of
        Hand & Till 2001 without their pairing of classes.
    """
    classes = np.unique(labels)
    area, influence = 0.0, np.zeros(len(labels))
    for code in classes:
        one, own = _one_vs_rest(probabilities[:, code], labels == code)
        area += one / len(classes)
        influence += own / len(classes)
    return area, influence


def half_a_row(labels: Codes) -> float:
    """Variance that half a discordant row of every class, and of its rest, would bring to a macro AUC."""
    n, counts = len(labels), np.unique(labels, return_counts=True)[1]
    return float((0.5 / counts**2 + 0.5 / (n - counts) ** 2).sum()) / len(counts) ** 2


def r_squared(predictions: Floats, labels: Floats) -> tuple[float, Floats]:
    """The share of the labels' variance that predictions explain, at least -1, and what every row adds to it.

    Args:
        predictions: shape (n,).
        labels: shape (n,), at least two different ones.
    """
    error, spread = (predictions - labels) ** 2, (labels - labels.mean()) ** 2
    ratio = float(error.mean() / spread.mean())
    influence = (ratio * (spread - spread.mean()) - (error - error.mean())) / spread.mean()
    return max(1 - ratio, -1.0), np.asarray(influence)


def brier(probabilities: Floats, labels: Codes) -> tuple[float, Floats]:
    """Mean squared distance of probabilities from what happened, over all classes, in [0, 2], and each row's part.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability".
    """
    happened = np.zeros(probabilities.shape)
    happened[np.arange(len(labels)), labels] = 1
    loss = ((probabilities - happened) ** 2).sum(axis=1)
    return float(loss.mean()), np.asarray(loss - loss.mean())


def calibration_error(chance: Floats, happened: npt.NDArray[np.bool_]) -> tuple[float, Floats, float]:
    """Expected calibration error, what every row adds to it, and the error a calibrated model would show of that size.

    Rows are put into 15 bins of equally many by their chance; ties stay together. The error is the mean over rows of
    the gap between the mean chance and the share of a bin. Chance alone opens gaps too: on average
    sqrt(2 p (1 - p) / (pi n)) in a bin of n rows, which is the third number.

    Args:
        chance: probability of the event, shape (n,).
        happened: whether it did, shape (n,).

    Source: Naeini, Cooper & Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning".
    """
    bins = reliability_bins(chance)
    n = np.bincount(bins)
    gap = np.bincount(bins, happened - chance) / np.maximum(n, 1)
    mean = np.bincount(bins, chance) / np.maximum(n, 1)
    error = float((np.abs(gap) * n).sum() / len(bins))
    influence = np.sign(gap)[bins] * (happened - chance)
    alone = float((np.sqrt(2 * mean * (1 - mean) * n / np.pi)).sum() / len(bins))
    return error, influence - influence.mean(), alone


def reliability_bins(chance: Floats) -> npt.NDArray[np.int64]:
    """Bin of every row, from 0: equally many rows each where ties allow it."""
    place = (rankdata(chance, method="min") - 1) / len(chance)
    bins = np.floor(place * BINS).astype(np.int64)
    return np.unique(bins, return_inverse=True)[1].astype(np.int64)


def _one_vs_rest(scores: Floats, positive: npt.NDArray[np.bool_]) -> tuple[float, Floats]:
    n, n_positive = len(scores), int(positive.sum())
    ranks = rankdata(scores)
    placement = np.empty(n)
    placement[positive] = (ranks[positive] - rankdata(scores[positive])) / (n - n_positive)
    placement[~positive] = 1 - (ranks[~positive] - rankdata(scores[~positive])) / n_positive
    area = float(placement[positive].mean())
    return area, (placement - area) * n / np.where(positive, n_positive, n - n_positive)
