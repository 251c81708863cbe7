"""What to try next, from what was found: a sentence stands only where bounds prove it, and "nothing helped" is one too.

Every rule reads findings and writes sentences with their figures. A gain counts where its lower 95% bound is above 0,
and as harm where its upper bound is below; between the two nothing is said to help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from audits.finding import Finding

FEW = 5


class Kind(StrEnum):
    """Whether something was shown to help, to do harm, or neither."""

    HELPS = "helps"
    HARMS = "harms"
    NOTHING = "no proof"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence about one question.

    Attributes:
        question: what was asked.
        kind: what the bounds say.
        text: the sentence, with figures.
    """

    question: str
    kind: Kind
    text: str


def advise(findings: Sequence[Finding]) -> tuple[Advice, ...]:
    """Everything the findings prove, question by question."""
    return tuple(said for rule in RULES for said in rule(findings))


def _mixing(findings: Sequence[Finding]) -> Iterator[Advice]:
    gained = [f for f in findings if f.audit == "hybrid" and " gained " in f.quantity]
    for quantity in dict.fromkeys(f.quantity for f in gained):
        some = [f for f in gained if f.quantity == quantity]
        score, _, where = quantity.partition(" gained by ")
        if where == "share of real rows":
            question = "Mixing at a fixed number of rows"
            yield _best(question, some, f"gains {score} over real rows alone", "no mix beats real rows alone")
        else:
            real = where.rpartition("added to ")[2]
            question = f"Synthetic rows added to {real}"
            yield _best(question, some, f"gains {score}", f"adding synthetic rows to {real} is not shown to help")


def _fine_tuning(findings: Sequence[Finding]) -> Iterator[Advice]:
    for f in findings:
        if f.audit == "fine-tuning" and f.quantity.endswith("gained by pretraining"):
            question = f"Pretraining on synthetic rows, then {f.subject}"
            yield _best(question, [f], "gains", "pretraining is not shown to help", named=False)


def _rebalancing(findings: Sequence[Finding]) -> Iterator[Advice]:
    own = [f for f in findings if f.audit == "rebalancing" and " against " in f.quantity]
    for reference in dict.fromkeys(f.quantity.partition(" against ")[2] for f in own):
        some = [f for f in own if f.quantity.endswith(f" against {reference}")]
        for what, words in (
            ("AUC against", "accuracy"),
            ("AUC in a group", "accuracy within a group"),
            ("calibration error", "calibration"),
            ("demographic parity difference", "demographic parity"),
            ("equalized odds difference", "equalized odds"),
        ):
            these = [f for f in some if f.quantity.startswith(what)]
            if these:
                nothing = "no other shares are shown to help"
                yield _best(f"Other shares instead of {reference}: {words}", these, "changes it by", nothing)


def _arms(audit: str, question: str, nothing: str) -> Callable[[Sequence[Finding]], Iterator[Advice]]:
    def rule(findings: Sequence[Finding]) -> Iterator[Advice]:
        own = [
            f
            for f in findings
            if f.audit == audit
            and (" against " in f.quantity or " gained over " in f.quantity)
            and not f.quantity.startswith("calibration")
        ]
        if own:
            yield _best(question, own, "gains", nothing)

    return rule


def _labels(findings: Sequence[Finding]) -> Iterator[Advice]:
    for f in findings:
        if f.audit == "label noise" and f.quantity == "label noise" and f.subject == "all labels":
            bounds = f"95% bounds {f.interval.low:+.1%} to {f.interval.high:+.1%}"
            if f.interval.low > 0:
                yield Advice(
                    "Noise of synthetic labels", Kind.GAP, f"{f.estimate:.1%} of the labels are noise ({bounds})."
                )
            else:
                yield Advice("Noise of synthetic labels", Kind.NOTHING, f"No label noise is shown ({bounds}).")


def _groups(findings: Sequence[Finding]) -> Iterator[Advice]:
    lost = [f for f in findings if f.quantity == "representation ratio" and f.interval.high < 1]
    lost.sort(key=lambda f: f.interval.high)
    if lost:
        words = "; ".join(f"{f.subject} {f.estimate:.2f}" for f in lost[:FEW])
        more = f" and {len(lost) - FEW} more" if len(lost) > FEW else ""
        fix = "Where a model is at hand, `tablegate sample --balance COLUMN` draws more of them."
        yield Advice(
            "Groups with too few rows",
            Kind.GAP,
            f"Share among synthetic rows over share among real rows: {words}{more}. {fix}",
        )
    elif any(f.quantity == "representation ratio" for f in findings):
        yield Advice("Groups with too few rows", Kind.NOTHING, "No group is shown to have lost its share.")


def _columns(findings: Sequence[Finding]) -> Iterator[Advice]:
    own = [
        f for f in findings if f.audit == "marginals" and f.quantity == "total variation distance, 1-way" and f.subject
    ]
    wide = sorted((f for f in own if f.interval.low > f.baseline), key=lambda f: f.baseline - f.estimate)
    if wide:
        words = "; ".join(f"{f.subject} {f.estimate:.3f} (real rows {f.baseline:.3f})" for f in wide[:FEW])
        fix = "Bins, bounds and `privacy.workload` of the schema say where the budget goes."
        yield Advice("Columns farthest from real rows", Kind.GAP, f"Total variation distance: {words}. {fix}")
    elif own:
        yield Advice(
            "Columns farthest from real rows", Kind.NOTHING, "No column is shown to be farther off than a sample."
        )
    surplus = [f for f in findings if f.audit == "importance" and f.quantity == "surplus of importance"]
    leaned = [f for f in surplus if f.interval.low > 0]
    if leaned:
        words = "; ".join(f"{f.subject} {f.estimate:+.3f}" for f in sorted(leaned, key=lambda f: -f.estimate)[:FEW])
        yield Advice(
            "Columns synthetic rows lean on too much", Kind.GAP, f"Importance beyond that among real rows: {words}."
        )


RULES: tuple[Callable[[Sequence[Finding]], Iterator[Advice]], ...] = (
    _mixing,
    _fine_tuning,
    _groups,
    _rebalancing,
    _arms("imperfections", "Imperfections planted in synthetic rows", "no imperfection is shown to help"),
    _arms("curriculum", "The order of synthetic and real rows", "no order is shown to beat taking turns"),
    _labels,
    _arms("label noise", "Labels given anew", "giving labels anew is not shown to help"),
    _columns,
)


def _best(question: str, some: Sequence[Finding], gain: str, nothing: str, *, named: bool = True) -> Advice:
    """The surest gain; else that all were harm; else that nothing is proven."""
    sign = -1 if some[0].worse == "higher" else 1

    def low(f: Finding) -> float:
        return f.interval.low if sign > 0 else -f.interval.high

    def high(f: Finding) -> float:
        return f.interval.high if sign > 0 else -f.interval.low

    best = max(some, key=low)
    figures = f"{best.estimate:+.3f} (95% bounds {best.interval.low:+.3f} to {best.interval.high:+.3f})"
    name = f"{best.subject}: " if named else ""
    if low(best) > 0:
        return Advice(question, Kind.HELPS, f"{name}{gain} {figures}.")
    if all(high(f) < 0 for f in some):
        return Advice(question, Kind.HARMS, f"All of it does harm; the least, {name}{figures}.")
    n_harm = sum(high(f) < 0 for f in some)
    harm = f" {n_harm} of {len(some)} are shown to do harm." if n_harm else ""
    return Advice(question, Kind.NOTHING, f"{nothing[0].upper()}{nothing[1:]}; the best, {name}{figures}.{harm}")
