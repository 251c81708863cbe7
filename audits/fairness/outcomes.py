"""Whether a decision learnt from the synthetic rows is less fair than the same decision learnt from real ones.

The decision is an average of gradient boosting models, each fitted to its own fifth of the learning rows; one average
learns from synthetic rows, the other from as many training rows, and both decide on the same control rows. For every
sensitive column: the demographic parity difference (largest gap in selection rates between groups), what their ratio
lacks to one (the four-fifths rule), the equalized odds difference (the larger of the largest gaps in true- and
false-positive rates) and the equal opportunity difference (true-positive rates alone). The worsening is the synthetic
difference minus the real one, so that a bias of the data is not blamed on the synthesis. How well each group is
predicted by itself: `audits.fairness.group_scores`.

The positive class is public: the last level of the target's list, hence the second of two. Each side selects as large
a share of control rows as its learning rows hold positives: at a threshold of one half, a model of a rare class
selects nobody and looks fair whatever it learnt.

Groups too small to judge (`min_rows`; for equalized odds also `min_labels` of either label) are listed by name and
left out of the gaps.

Intervals cover another draw of control, synthetic and training rows; not another run of the generator. Two variances
are added: a paired bootstrap of control units, and a jackknife that leaves out one fifth of the learning units, which
costs no further fit. Both are taken as standard errors around the estimate, because a largest gap is biased upwards
in every resample, and one row of the smallest count is added. The fifths are there for the second: fitted to another
fresh sample of 6,000 rows, one boosting model's demographic parity difference moves by .04, twice what the control
rows alone explain. On fresh draws the sum is cautious: the worsening varies by about .7 of its standard error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.estimates import estimate_finding, exact_finding
from audits.evidence import Evidence
from audits.fairness.base_rates import target_and_groups
from audits.fairness.gaps import (
    ODDS,
    OPPORTUNITY,
    PARITY,
    RATIO,
    Gap,
    Mask,
    Whole,
    count,
    jackknife_variance,
    resampled,
)
from audits.fairness.group_scores import group_findings
from audits.fairness.representation import group_name
from audits.finding import Finding
from audits.prediction import gradient_boosting, labelled_rows
from privacy.columns import Floats, LevelColumn
from privacy.table import Table

TOO_FEW_ROWS = "control rows of a group too small to judge"
TOO_FEW_LABELS = "control rows of the rarer label of a group too small to judge"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How much larger the gaps between groups are when the decision is learnt from synthetic rows.

    Attributes:
        min_rows: control rows below which a group is listed and not judged.
        min_labels: positives, and negatives, below which a group is not judged for equalized odds.
        folds: parts of the learning rows, one model each.
        resamples: bootstrap resamples.
        max_rows: rows each side learns from at most.
    """

    min_rows: int = 100
    min_labels: int = 30
    folds: int = 5
    resamples: int = 1_000
    max_rows: int = 30_000
    name: ClassVar[str] = "fairness of outcomes"
    title: ClassVar[str] = "Fairness of outcomes"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Per sensitive column: gaps (baseline: the real model's), worsenings, scores by group, groups not judged.

        Raises:
            InconclusiveError: no target or no sensitive column with levels is declared, there are fewer learning units
                than folds or one class in control, or no column has two groups large enough.
        """
        target, columns = target_and_groups(evidence.schema)
        synthetic, train, control = labelled_rows(evidence, target, self.max_rows, rng)
        first, second, *streams = rng.spawn(2 + len(columns))
        decisions = Decisions(
            control.codes(target.name) == len(target.declared) - 1,
            *learn(synthetic, control, target, self.folds, first),
            *learn(train, control, target, self.folds, second),
        )
        found: list[Finding] = []
        for column, stream in zip(columns, streams, strict=True):
            found += self._column(column, control, decisions, stream)
        if all(finding.quantity in (TOO_FEW_ROWS, TOO_FEW_LABELS) for finding in found):
            raise InconclusiveError("no sensitive column has two groups with enough control rows")
        return tuple(found)

    def _column(self, column: LevelColumn, control: Table, decisions: Decisions, rng: Generator) -> Iterator[Finding]:
        codes = control.codes(column.name)
        rows = np.bincount(codes, minlength=column.n_codes)
        positives = np.bincount(codes[decisions.label], minlength=column.n_codes)
        labels = np.minimum(positives, rows - positives)
        large = rows >= self.min_rows
        for quantity, sizes, least, left_out in (
            (TOO_FEW_ROWS, rows, self.min_rows, (rows > 0) & ~large),
            (TOO_FEW_LABELS, labels, self.min_labels, large & (labels < self.min_labels)),
        ):
            for code in np.flatnonzero(left_out):
                n = int(sizes[code])
                yield exact_finding(
                    audit=self.name,
                    quantity=quantity,
                    subject=group_name(column, int(code)),
                    value=n,
                    baseline=least,
                    worse="lower",
                    n=n,
                )
        told_apart = np.flatnonzero(large & (labels >= self.min_labels))
        for code in told_apart:
            inside = codes == code
            yield from group_findings(
                self.name,
                group_name(column, int(code)),
                decisions.label[inside],
                (decisions.synthetic_chance[:, inside], decisions.real_chance[:, inside]),
                control.units[inside],
            )
        for gap, sizes, groups in (
            (PARITY, rows, np.flatnonzero(large)),
            (RATIO, rows, np.flatnonzero(large)),
            (ODDS, labels, told_apart),
            (OPPORTUNITY, labels, told_apart),
        ):
            if len(groups) >= 2:
                chosen = np.isin(codes, groups)
                group = np.searchsorted(groups, codes[chosen])
                spread = 1 / int(sizes[groups].min()) ** 2
                yield from self._gap(gap, column.name, group, decisions.of(chosen), control.units[chosen], spread, rng)

    def _gap(
        self, gap: Gap, subject: str, group: Whole, decisions: Decisions, units: Whole, spread: float, rng: Generator
    ) -> Iterator[Finding]:
        """The difference and its worsening, over the control rows of groups numbered from 0."""
        ours, theirs = (
            np.array([gap.difference(count(group, decisions.label, one)) for one in side])
            for side in (decisions.synthetic, decisions.real)
        )
        whole = (decisions.synthetic[0], decisions.real[0])
        again = resampled(gap, group, decisions.label, whole, units, self.resamples, rng)
        ours_learnt, theirs_learnt = jackknife_variance(ours[1:]), jackknife_variance(theirs[1:])
        learnt, worsened = f"{gap.measured}, trained on synthetic", f"worsening of {gap.name}"
        both = float((again[0] - again[1]).var()) + ours_learnt + theirs_learnt
        for quantity, estimate, variance, baseline, least in (
            (learnt, float(ours[0]), float(again[0].var()) + ours_learnt, float(theirs[0]), 0.0),
            (worsened, float(ours[0] - theirs[0]), both, 0.0, -1.0),
        ):
            yield estimate_finding(
                audit=self.name,
                quantity=quantity,
                subject=subject,
                estimate=estimate,
                error=float(np.sqrt(variance + spread)),
                baseline=baseline,
                worse="higher",
                n=len(group),
                limits=(least, 1.0),
                looked_at=1,
            )


@dataclass(frozen=True, slots=True)
class Decisions:
    """What is known of every control row.

    Attributes:
        label: whether it has the target's last level, shape (n,).
        synthetic: whether it is selected by what was learnt from synthetic rows, shape (1 + folds, n): with all folds
            first, then with each left out.
        synthetic_chance: the chance of that level which the selection is by, of the same shape.
        real, real_chance: the same for training rows.
    """

    label: Mask
    synthetic: Mask
    synthetic_chance: Floats
    real: Mask
    real_chance: Floats

    def of(self, rows: Mask) -> Decisions:
        """The same for some rows."""
        return Decisions(
            self.label[rows],
            self.synthetic[:, rows],
            self.synthetic_chance[:, rows],
            self.real[:, rows],
            self.real_chance[:, rows],
        )


def learn(rows: Table, control: Table, target: LevelColumn, folds: int, rng: Generator) -> tuple[Mask, Floats]:
    """Control rows selected for the target's last level, and its chance, shape (1 + folds, len(control)) each.

    Row 0 is the average of all folds' models, row k the average without fold k. Folds are of units. As large a share
    is selected as the learning rows hold of that level; rows with equal scores are selected together.

    Raises:
        InconclusiveError: fewer units than folds.
    """
    _, first, owner = np.unique(rows.units, return_index=True, return_inverse=True)
    # Units are numbered by where they first stand in the rows' canonical order, not by their numbers.
    owner = np.argsort(np.argsort(first))[owner]
    n_units = len(first)
    if n_units < folds:
        raise InconclusiveError("there are too few rows to learn from")
    fold = rng.permutation(np.arange(n_units) % folds)[owner]
    positive = len(target.declared) - 1
    parts = [rows.select(fold == k) for k in range(folds)]
    scores = np.stack([gradient_boosting(part, control, target, rng)[:, positive] for part in parts])
    hits = np.array([float((part.codes(target.name) == positive).sum()) for part in parts])
    sizes = np.array([len(part) for part in parts])
    keep = np.vstack([np.ones(folds), 1 - np.eye(folds)])
    shares = keep @ hits / (keep @ sizes)
    means = keep @ scores / keep.sum(axis=1, keepdims=True)
    return np.stack([_select(mean, share) for mean, share in zip(means, shares, strict=True)]), means


def _select(scores: npt.NDArray[np.float64], share: float) -> Mask:
    n_selected = round(share * len(scores))
    if n_selected == 0:
        return np.zeros(len(scores), dtype=np.bool_)
    return np.asarray(scores >= np.sort(scores)[-n_selected])
