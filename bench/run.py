"""Speed, memory and utility on Adult, beside existing systems: python -m bench.run [--seeds N].

Every measurement is a process of its own, taken alone. Machines differ and are shared, so times are also given as a
ratio to a baseline of the same run: one gradient-boosted classifier fitted to the same rows and tested, which is what
somebody would do with the table anyway. Figures of existing systems are those of `PEERS.md` beside the scorer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
SCHEMAS = ROOT / "bench" / "schemas"
MEASURED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TQDM_DISABLE": "1",
}
"""Environment of what is measured: one thread for numerical libraries, PyTorch and JAX, and no progress bars."""

BASELINE = (
    "import sys, pandas as pd; from sklearn.ensemble import HistGradientBoostingClassifier as H;"
    "a, b = (pd.read_csv(p) for p in sys.argv[1:]);"
    "x = lambda f: f.drop(columns='income').apply(lambda c: c if c.dtype.kind in 'if' else pd.factorize(c)[0]);"
    "H(random_state=0).fit(x(a), a['income']).score(x(b), b['income'])"
)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished process: its output, wall-clock and CPU seconds, and peak memory."""

    output: str
    seconds: float
    cpu_seconds: float
    peak_megabytes: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    if not SHARED.is_dir():
        raise SystemExit("bench needs the developer tables and the scorer in ../shared; nothing was measured")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run([str(SHARED / "bench" / "split.py"), str(SHARED / "data" / "adult.csv.gz"), str(work)])
        baseline = run(["-c", BASELINE, str(work / "train.csv"), str(work / "test.csv")]).seconds
        print("Generator alone, Adult train split (26,048 rows), epsilon 1, delta 1e-6\n")
        print("system              2-way TVD  HistGB AUC  LR AUC  seconds  peak MB  times the baseline")
        for name in ("aim", "mst", "dp-ctgan", "pate-gan", "independent"):
            print(line(f"ours: {name}", *generator(name, work, seeds), baseline))
        for peer in peers():
            print(peer)
        print(f"\nBaseline of this run: {baseline:.1f} s for one boosted classifier on the same rows.\n")
        print("A whole release of Adult (32,561 rows), all audits, mst, policy controlled")
        whole = release(work)
        print(f"  {whole.seconds:.1f} s ({whole.seconds / baseline:.1f} baselines), peak {whole.peak_megabytes:.0f} MB")
        for step, seconds in sorted(timings(work).items(), key=lambda item: -item[1])[:6]:
            print(f"  {seconds:6.1f} s  {step}")


def generator(name: str, work: Path, seeds: int) -> tuple[dict[str, float], float, float]:
    """Mean scores, seconds and peak of a synthesizer over a few runs."""
    scores, runs = [], []
    for seed in range(seeds):
        out = work / f"{name}-{seed}.csv"
        schema = SCHEMAS / "adult.yaml"
        runs.append(run(["-m", "bench.generate", name, str(work / "train.csv"), str(schema), "1", "1e-6", str(out)]))
        scores.append(score(work, out))
    keys = ("tvd2", "hgb_auc", "lr_auc")
    return (
        {key: mean(s[key] for s in scores) for key in keys},
        mean(r.seconds for r in runs),
        max(r.peak_megabytes for r in runs),
    )


def score(work: Path, out: Path) -> dict[str, Any]:
    """The scorer's JSON for one synthetic table."""
    scorer = str(SHARED / "bench" / "score.py")
    found: dict[str, Any] = json.loads(
        run([scorer, str(work / "train.csv"), str(work / "test.csv"), str(out), "income"]).output
    )
    return found


def release(work: Path) -> Run:
    """A whole release through the command line."""
    arguments = [
        "-m", "api.cli", "release", str(SHARED / "data" / "adult.csv.gz"), "--schema", str(SCHEMAS / "adult.yaml"),
        "--synthesizer", "mst", "--epsilon", "1", "--delta", "1e-6", "--policy", "controlled",
        "--out", str(work / "bundle"), "--ledger", str(work / "ledger.db"),
    ]  # fmt: skip
    return run(arguments, codes=(0, 3, 4))


def timings(work: Path) -> dict[str, float]:
    """Seconds by step of that release."""
    found: dict[str, float] = json.loads((work / "bundle.internal" / "timings.json").read_text())
    return found


def run(
    arguments: Sequence[str],
    codes: Sequence[int] = (0,),
    *,
    python: str | Path = sys.executable,
    cpu_limit: int | None = None,
) -> Run:
    """Run a Python process alone and account for it.

    Args:
        arguments: after the Python.
        codes: exit codes that are no failure.
        python: which one.
        cpu_limit: seconds of CPU time after which the system stops the process. Other work on the machine costs a
            process wall-clock time, and no CPU time.

    Raises CalledProcessError for an unexpected exit code; it is -SIGXCPU where the limit was reached.
    """
    start = perf_counter()
    process = subprocess.Popen([str(python), *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if cpu_limit is not None:
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (cpu_limit, cpu_limit + 5))
    assert process.stdout is not None
    with process.stdout as stream:
        output = stream.read()
    _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    if code not in codes:
        raise subprocess.CalledProcessError(code, arguments)
    return Run(output, perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def peers() -> list[str]:
    """Rows of PEERS.md, in our columns."""
    rows = []
    for text in (SHARED / "bench" / "PEERS.md").read_text().splitlines():
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        if len(cells) == 10 and cells[0] not in ("system", "") and set(cells[0]) != {"-"}:
            system, method, _, _, tvd2, hgb, lr, seconds, peak, _ = cells
            rows.append(f"{system + ' ' + method:30.30}{tvd2:>6}{hgb:>10}{lr:>8}{seconds:>9}{peak:>9}")
    return rows


def line(name: str, scores: dict[str, float], seconds: float, peak: float, baseline: float) -> str:
    """One row of the table."""
    return (
        f"{name:30}{scores['tvd2']:6.3f}{scores['hgb_auc']:10.3f}{scores['lr_auc']:8.3f}{seconds:9.1f}{peak:9.0f}"
        f"{seconds / baseline:10.1f}"
    )


if __name__ == "__main__":
    main()
