"""What each part of a neural synthesizer brings: python -m bench.ablation [--seeds N] [--epsilons E ...] [--out FILE].

Every variant spends the same epsilon and delta on Adult's train split and is scored once a seed. Results are appended
to FILE as they come, and what is in it already is not run again; at the end the means are printed and a picture of them
is written beside FILE.

- whole: as it ships.
- marginals only: the adversary's budget goes to the marginals, and there is no adversary: the warm start at its best.
- adversary of noise: as it ships, but gradients or votes are noise alone.
- no warm start: the generator meets the adversary untrained; the marginals are its second loss and the final weights.
- no weights: generated rows leave as they are drawn.
- one for one: as many generator steps as critic steps (dp-ctgan).
- small samples: a quarter of the units a step (dp-ctgan); a tenth of the teachers (pate-gan).
- large share: a fifth of the squared budget to the adversary, whatever the epsilon.
- large critic: four times the hidden units of critic or student.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from time import process_time
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from bench.frontier import COLORS
from bench.run import SCHEMAS, SHARED, run, score
from bench.structure import detection_auc, three_way_distance
from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.mechanisms import Bools, Integers, SampledGaussianMechanism
from privacy.noise import NoiseSource, system_noise
from privacy.schema import Budget
from privacy.schema_file import load_schema
from privacy.table import read_table
from synthesizers.neural.dp_ctgan import DPCTGAN
from synthesizers.neural.pate_gan import PATEGAN
from synthesizers.structured import Structured

Neural = DPCTGAN | PATEGAN
NEXT_TO_NOTHING = 1e-6
METRICS = {
    "tvd2": "two-way TVD", "tvd3": "three-way TVD", "detection": "detection AUC", "hgb_auc": "HistGB AUC",
    "lr_auc": "LR AUC",
}  # fmt: skip


class DeafFilter(PrivacyFilter):
    """Spends and draws as any filter, but the adversary's questions are asked of nobody."""

    def __init__(self, charged: PrivacyCost, noise: NoiseSource, n_labels: int) -> None:
        super().__init__(charged, noise)
        self._n_labels = n_labels

    def measure(self, mechanism: Any, value: Integers) -> Any:
        """Votes are drawn around zero; marginals as they are."""
        return super().measure(mechanism, value * 0 if value.shape == (self._n_labels,) else value)

    def measure_sample(
        self, mechanism: SampledGaussianMechanism, units: Integers, sum_of: Callable[[Bools], Integers]
    ) -> Integers:
        """Noise around an empty sample's sum."""
        return super().measure_sample(mechanism, units, lambda taken: sum_of(taken & False))


def whole(generator: Neural) -> Neural:
    """As it ships."""
    return generator


def marginals_only(generator: Neural) -> Neural:
    """Next to nothing for the adversary, who is not listened to; the generator takes as many steps all the same."""
    if isinstance(generator, DPCTGAN):
        return replace(generator, critic_share=NEXT_TO_NOTHING, adversary=0.0)
    return replace(generator, vote_share=NEXT_TO_NOTHING, adversary=0.0)


def no_warm_start(generator: Neural) -> Neural:
    """Untrained."""
    return replace(generator, start=replace(generator.start, pretraining_steps=0))


def no_weights(generator: Neural) -> Neural:
    """Rows as drawn."""
    return replace(generator, start=replace(generator.start, tilt_steps=0))


def one_for_one(generator: Neural) -> Neural:
    """A generator step for every critic step; a student has no such ratio."""
    return replace(generator, critic_steps=1) if isinstance(generator, DPCTGAN) else generator


def small_samples(generator: Neural) -> Neural:
    """Fewer units at a time."""
    if isinstance(generator, DPCTGAN):
        return replace(generator, batch_units=generator.batch_units // 4)
    return replace(
        generator, max_teachers=generator.max_teachers // 10, rows_per_teacher=10 * generator.rows_per_teacher
    )


def large_critic(generator: Neural) -> Neural:
    """More to learn with, and more noise to learn through."""
    if isinstance(generator, DPCTGAN):
        return replace(generator, critic_hidden=4 * generator.critic_hidden)
    return replace(generator, student_hidden=4 * generator.student_hidden)


def large_share(generator: Neural) -> Neural:
    """Ten times the default of dp-ctgan; as at epsilon 10 and above of pate-gan."""
    if isinstance(generator, DPCTGAN):
        return replace(generator, critic_share=0.2)
    return replace(generator, full_share_at=NEXT_TO_NOTHING)


VARIANTS: Mapping[str, Callable[[Neural], Neural]] = {
    "whole": whole,
    "marginals only": marginals_only,
    "adversary of noise": whole,
    "no warm start": no_warm_start,
    "no weights": no_weights,
    "one for one": one_for_one,
    "small samples": small_samples,
    "large share": large_share,
    "large critic": large_critic,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure."""

    synthesizer: str
    variant: str
    epsilon: float
    seed: int


def main() -> None:
    """Measure what is missing, print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 3.0, 10.0])
    parser.add_argument("--synthesizers", nargs="+", default=["dp-ctgan", "pate-gan"])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("ablation.jsonl"))
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        raise SystemExit("the ablation needs the developer tables and the scorer in ../shared; nothing was measured")
    known = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    cases = [
        Case(name, variant, epsilon, seed)
        for seed in range(arguments.seeds)
        for epsilon in arguments.epsilons
        for variant in arguments.variants
        for name in arguments.synthesizers
    ]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run([str(SHARED / "bench" / "split.py"), str(SHARED / "data" / "adult.csv.gz"), str(work)])
        for case in cases:
            if not any(matches(case, result) for result in known):
                known.append(measure(case, work))
                with arguments.out.open("a") as file:
                    file.write(json.dumps(known[-1]) + "\n")
    print(table(known))
    arguments.out.with_suffix(".svg").write_text(picture(known))


def matches(case: Case, result: Mapping[str, Any]) -> bool:
    """Whether a result is of a case."""
    return Case(result["synthesizer"], result["variant"], result["epsilon"], result["seed"]) == case


def measure(case: Case, work: Path) -> dict[str, Any]:
    """Fit, sample and score once."""
    shipped: Neural = DPCTGAN() if case.synthesizer == "dp-ctgan" else PATEGAN()
    generator = VARIANTS[case.variant](shipped)
    schema = load_schema(SCHEMAS / "adult.yaml")
    rows = read_table(work / "train.csv", schema)
    start = process_time()
    plan = Structured(generator).plan(schema, Budget(epsilon=case.epsilon, delta=1e-6))
    noise = system_noise()
    privacy = PrivacyFilter(plan.cost, noise)
    if case.variant == "adversary of noise":
        privacy = DeafFilter(plan.cost, noise, PATEGAN().labels)
    model = plan.fit(rows, privacy, np.random.default_rng(case.seed), lambda _: None)
    out = work / "synthetic.csv"
    drawn = model.sample(len(rows), np.random.default_rng(case.seed + 1))
    out.write_bytes(drawn.csv())
    seconds = process_time() - start
    unseen = read_table(work / "test.csv", schema).conform(drawn.schema)
    found = score(work, out) | {
        "tvd3": round(three_way_distance(rows.conform(drawn.schema), drawn), 4),
        "detection": round(detection_auc(unseen, drawn, case.seed), 4),
    }
    return {
        "synthesizer": case.synthesizer, "variant": case.variant, "epsilon": case.epsilon, "seed": case.seed,
        **{key: found[key] for key in METRICS}, "seconds": round(seconds, 1),
    }  # fmt: skip


def table(results: list[dict[str, Any]]) -> str:
    """Means, and standard deviations over seeds, as Markdown."""
    lines = [
        f"| synthesizer | epsilon | variant | runs | {' | '.join(METRICS.values())} | CPU seconds |",
        "|---|---|---|---|" + "---|" * (len(METRICS) + 1),
    ]
    groups = {(r["synthesizer"], r["epsilon"], r["variant"]): None for r in results}
    for key in sorted(groups, key=lambda k: (k[0], k[1], list(VARIANTS).index(k[2]))):
        own = [r for r in results if (r["synthesizer"], r["epsilon"], r["variant"]) == key]
        cells = [_with_spread([r[metric] for r in own]) for metric in METRICS]
        seconds = mean(r["seconds"] for r in own)
        lines.append(f"| {key[0]} | {key[1]:g} | {key[2]} | {len(own)} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


def picture(results: list[dict[str, Any]]) -> str:
    """One panel a metric and synthesizer: every run a point, every mean a tick, a row a variant. SVG."""
    rows = [
        {"variant": r["variant"], "epsilon": f"epsilon {r['epsilon']:g}", "metric": words, "value": r[metric],
         "synthesizer": r["synthesizer"]}
        for r in results for metric, words in METRICS.items()
    ]  # fmt: skip
    present = [variant for variant in VARIANTS if any(r["variant"] == variant for r in results)]
    epsilons = sorted({r["epsilon"] for r in results})
    names = [f"epsilon {epsilon:g}" for epsilon in epsilons]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("variant:N", sort=present, title=None),
        color=alt.Color("epsilon:N", scale=alt.Scale(domain=names, range=list(COLORS[: len(names)])), title=None),
    )
    points = base.mark_circle(size=40, opacity=0.6).encode(x=alt.X("value:Q", title=None, scale=alt.Scale(zero=False)))
    means = base.mark_tick(thickness=2, size=14).encode(x=alt.X("mean(value):Q", title=None))
    panels = (points + means).properties(width=130, height=18 * len(present))
    chart = panels.facet(
        row=alt.Row("synthesizer:N", title=None, header=alt.Header(labelFontSize=12)),
        column=alt.Column("metric:N", title=None, sort=list(METRICS.values()), header=alt.Header(labelFontSize=12)),
    ).resolve_scale(x="independent")
    drawn: str = vl_convert.vegalite_to_svg(chart.configure(font="sans-serif").to_dict())
    return drawn


def _with_spread(values: list[float]) -> str:
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
