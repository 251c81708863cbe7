"""What every system is asked, in the same words: fit these rows within this budget and draw as many.

A driver is `python -m bench.peers.drivers.NAME METHOD TRAIN.csv COLUMNS.json OUT.csv EPSILON DELTA`. COLUMNS.json says
which columns are numbers and which texts mean missing; the schema knows, and a system is not made to guess. Category
lists, ranges and the number of rows are not handed over: a system takes them as its users have it do.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

BINS = 20
"""Of equal width, for systems that take numbers in bins only."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One request.

    Attributes:
        rows: numbers as floats, missing ones NaN; every other column as text.
        numbers: names of the numbers.
        epsilon: total, whatever a system spends it on.
        delta: total.
        n_rows: how many rows to draw.
    """

    rows: pd.DataFrame
    numbers: tuple[str, ...]
    epsilon: float
    delta: float
    n_rows: int

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the other columns."""
        return tuple(name for name in self.rows.columns if name not in self.numbers)


Method = Callable[[Task], pd.DataFrame]


@dataclass(frozen=True)
class Coding:
    """Columns as codes 0..k-1: texts by their levels, numbers by bins between the smallest and the largest of the rows.

    A number with at most `BINS` values keeps them as levels; missing is a level. All of it is read off the rows, as
    users of systems that take codes only do beforehand: no epsilon covers it, which is an advantage we do not take.

    Attributes:
        codes: of the rows, whole numbers.
        levels: by column, what each code stands for; the middle of its bin.
    """

    codes: pd.DataFrame
    levels: Mapping[str, npt.NDArray[Any]]

    def decode(self, codes: pd.DataFrame) -> pd.DataFrame:
        """Codes of columns back to what they stand for."""
        return pd.DataFrame({name: self.levels[name][codes[name].to_numpy().astype(int)] for name in codes.columns})


def coded(rows: pd.DataFrame, numbers: Sequence[str]) -> Coding:
    """The coding of all columns of some rows."""
    codes, levels = {}, {}
    for name in rows.columns:
        column = rows[name]
        if name in numbers and column.nunique() > BINS:
            edges = np.linspace(column.min(), column.max(), BINS + 1)
            middles = (edges[:-1] + edges[1:]) / 2
            column = pd.Series(middles[np.digitize(column.fillna(column.min()), edges[1:-1])]).where(
                column.notna().to_numpy()
            )
        places, found = pd.factorize(column, use_na_sentinel=False, sort=True)
        codes[name], levels[name] = places, np.asarray(found)
    return Coding(pd.DataFrame(codes), levels)


def complete(task: Task) -> tuple[pd.DataFrame, tuple[str, ...], Coding]:
    """Rows for systems that take no missing numbers: a number that may be missing is coded, and is no number then.

    Returns:
        The rows, the names of the numbers that are left, and the coding of the others, which may be of no column.
    """
    incomplete = [name for name in task.numbers if task.rows[name].isna().any()]
    coding = coded(task.rows[incomplete], incomplete)
    rows = task.rows.assign(**{name: coding.codes[name].astype(str) for name in incomplete})
    return rows, tuple(name for name in task.numbers if name not in incomplete), coding


def restored(drawn: pd.DataFrame, coding: Coding) -> pd.DataFrame:
    """Undo `complete` on what was drawn."""
    drawn = drawn.copy()
    drawn[list(coding.levels)] = coding.decode(drawn[list(coding.levels)])
    return drawn


def main(methods: Mapping[str, Method]) -> None:
    """Command line of a driver. With --repeats, fit so often and write all that was drawn, a column `run` before it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("method", choices=methods)
    for name in ("train", "columns", "out"):
        parser.add_argument(name)
    parser.add_argument("epsilon", type=float)
    parser.add_argument("delta", type=float)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeats", type=int)
    asked = parser.parse_args()
    rows, numbers = read(asked.train, asked.columns)
    n_rows = asked.rows or len(rows)
    task = Task(rows=rows, numbers=numbers, epsilon=asked.epsilon, delta=asked.delta, n_rows=n_rows)
    if asked.repeats is None:
        methods[asked.method](task)[list(rows.columns)].to_csv(asked.out, index=False)
        return
    for run in range(asked.repeats):
        drawn = methods[asked.method](task)[list(rows.columns)]
        drawn.insert(0, "run", run)
        drawn.to_csv(asked.out, index=False, mode="a", header=run == 0)


def read(train: str, columns: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows, and the names of their numbers."""
    with open(columns, encoding="utf-8") as file:
        about = json.load(file)
    rows = pd.read_csv(train, dtype=str, keep_default_na=False)[about["columns"]]
    rows = rows.apply(lambda column: column.str.strip())
    for name in about["numbers"]:
        rows[name] = pd.to_numeric(rows[name].where(~rows[name].isin(about["missing"])), errors="coerce").astype(float)
    return rows, tuple(about["numbers"])
