"""Our AIM beside another system's, on the same rows in one run: python -m bench.race [--home DIR].

The other system is installed into an environment of its own, which is kept in DIR. Both run as whole processes, one
after the other, with one thread; ours runs before and after, so that a machine that changes meanwhile is noticed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from time import perf_counter

from bench.run import SCHEMAS, SHARED, run, score

EPSILON, DELTA = "1", "1e-6"
PEER = Path(__file__).with_name("peers") / "smartnoise_aim.py"
REQUIREMENTS = ("smartnoise-synth==1.0.8", "packaging", "setuptools<81")


def main() -> None:
    """Install, run, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path.home() / ".cache" / "tablegate-peers")
    python = installed(parser.parse_args().home / "smartnoise")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run([str(SHARED / "bench" / "split.py"), str(SHARED / "data" / "adult.csv.gz"), str(work)])
        train, out = str(work / "train.csv"), str(work / "synthetic.csv")
        ours = ["-m", "bench.generate", "aim", train, str(SCHEMAS / "adult.yaml"), EPSILON, DELTA, out]
        report("ours", run(ours).seconds, score(work, Path(out)))
        start = perf_counter()
        subprocess.run([str(python), str(PEER), train, out, EPSILON, DELTA], check=True)
        report("smartnoise-synth 1.0.8", perf_counter() - start, score(work, Path(out)))
        report("ours again", run(ours).seconds, score(work, Path(out)))


def installed(home: Path) -> Path:
    """The Python of the peer's environment, made on first use."""
    python = home / "bin" / "python"
    if not python.exists():
        print(f"installing {REQUIREMENTS[0]} into {home}", file=sys.stderr)
        venv.create(home, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
    return python


def report(name: str, seconds: float, scores: dict[str, float]) -> None:
    """One line of the result."""
    figures = "  ".join(f"{key} {scores[key]:.3f}" for key in ("tvd2", "hgb_auc", "lr_auc"))
    print(f"{name:24} {seconds:8.1f} s  {figures}", flush=True)


if __name__ == "__main__":
    main()
