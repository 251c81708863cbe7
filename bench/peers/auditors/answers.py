"""What every auditor is asked, in the same words, and how it answers.

An auditor is `python -m bench.peers.auditors.NAME TRAIN.csv CONTROL.csv SYNTHETIC.csv COLUMNS.json`. COLUMNS.json says
which columns are numbers and which texts mean missing. A line of JSON on its output for every question: how the answer
reads, or that it failed, and the seconds of the processor it took.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import process_time

import pandas as pd

from bench.peers.drivers.task import read


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Rows that trained, rows that did not, and those that are judged; numbers as floats, all else as text."""

    train: pd.DataFrame
    control: pd.DataFrame
    synthetic: pd.DataFrame
    numbers: tuple[str, ...]


Question = Callable[[Tables], str]


def main(questions: Mapping[str, Question]) -> None:
    """Command line of an auditor."""
    parser = argparse.ArgumentParser()
    for name in ("train", "control", "synthetic", "columns"):
        parser.add_argument(name)
    asked = parser.parse_args()
    train, numbers = read(asked.train, asked.columns)
    control, _ = read(asked.control, asked.columns)
    synthetic, _ = read(asked.synthetic, asked.columns)
    tables = Tables(train=train, control=control, synthetic=synthetic, numbers=numbers)
    for name, question in questions.items():
        start = process_time()
        try:
            answer = question(tables)
        except Exception as error:  # an answer as well: what its users would see
            answer = f"fails: {type(error).__name__}: {error}"
        print(json.dumps([name, answer, round(process_time() - start, 1)]), flush=True)
