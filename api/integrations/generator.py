"""Our generators with the manners of scikit-learn: `fit` on a data frame, `sample` another one.

`get_params`, `set_params` and a constructor that only keeps what it is given are all that scikit-learn's `clone` and
its searches ask for; scikit-learn itself is not imported. Every fit is charged to a ledger before a row is read, as a
release is: a search over parameters pays for every one of its fits. What is sampled has the promise of its charge, and
has passed no gate: it is for use inside until `tablegate release` lets a table out.

    Generator("schema.yaml", synthesizer="mst", epsilon=1.0, delta=1e-6).fit(frame).sample(1_000)
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from api.home import Home, default_ledger_path
from api.integrations.frames import file_of, frame_of
from api.streams import Streams, fresh_seed
from privacy.calibration import check_budget, claim_for
from privacy.columns import NumberColumn
from privacy.errors import RequestError
from privacy.files import check_file
from privacy.noise import system_noise
from privacy.schema import Schema
from privacy.schema_file import load_schema, parse_schema
from privacy.table import read_table
from synthesizers.protocol import Model
from synthesizers.registry import synthesizer as named


class Generator:
    """A synthesizer as an estimator.

    Args:
        schema: path of a schema file, or a parsed document.
        synthesizer: name in the registry.
        epsilon, delta: totals for everything a fit buys.
        ledger: the ledger's file; one a user by default.
        device: "auto", "cpu", "cuda" or "cuda:N".
        random_state: seed of sampling, which protects nobody; a fresh one where it is None. Noise has no seed.
    """

    def __init__(
        self,
        schema: str | Path | Mapping[str, Any],
        *,
        synthesizer: str = "aim",
        epsilon: float = 1.0,
        delta: float = 1e-6,
        ledger: str | Path | None = None,
        device: str = "auto",
        random_state: int | None = None,
    ) -> None:
        self.schema = schema
        self.synthesizer = synthesizer
        self.epsilon = epsilon
        self.delta = delta
        self.ledger = ledger
        self.device = device
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - no parameter has parameters
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change arguments of the constructor. Raises ValueError for a name that is none."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"'{name}' is no parameter; there are {', '.join(known)}")
            setattr(self, name, value)
        return self

    def fit(self, X: Any, y: Any = None) -> Self:
        """Charge, open, and fit.

        Args:
            X: data frame of pandas with the schema's columns.
            y: values of the schema's target, where X lacks it.

        Raises:
            ReleaseError: the schema, the budget or the columns are refused, and nothing is charged.
        """
        schema = load_schema(Path(self.schema)) if isinstance(self.schema, str | Path) else parse_schema(self.schema)
        frame = X if y is None else X.assign(**{_target(schema): y})
        file = file_of(frame)
        check_file(file, schema)
        cap = schema.require_releasable()
        budget = check_budget(self.epsilon, self.delta, schema.n_public.value)
        chosen = named(self.synthesizer, self.device)
        plan = chosen.plan(schema, budget)
        seed = fresh_seed() if self.random_state is None else self.random_state
        ledger = Home(default_ledger_path() if self.ledger is None else Path(self.ledger)).ledger
        charge = ledger.charge(
            population=schema.population,
            cap=cap,
            cost=plan.cost,
            claim=claim_for(budget, plan.cost),
            request=f"fit {fresh_seed():x}",
            purpose=f"{chosen.name} fitted to a data frame, for use inside",
            schema_digest=schema.digest,
        )
        privacy = ledger.open(charge, system_noise())
        rows = read_table(file, schema).bounded(privacy.noise)
        self._dates_as_texts = tuple(c.name for c in _dated(schema) if _is_text(frame[c.name]))
        self.model_: Model = plan.fit(rows, privacy, Streams(seed)["fit"], lambda _: None)
        self.feature_names_in_ = schema.names
        self.n_features_in_ = len(schema.names)
        self._draws = Streams(seed)["sample"]
        return self

    def sample(self, n_samples: int | None = None, *, random_state: int | None = None) -> Any:
        """A data frame of fresh rows.

        Args:
            n_samples: how many; the measured estimate of the rows fitted to where it is None.
            random_state: a seed for these rows alone; where it is None the draws go on.

        Raises:
            RequestError: nothing was fitted.
        """
        if not hasattr(self, "model_"):
            raise RequestError("Nothing was fitted.", why="There is no model to sample.", fix="Call `fit` first.")
        n = max(1, round(self.model_.n_rows_estimate)) if n_samples is None else n_samples
        draws = self._draws if random_state is None else Streams(random_state)["sample"]
        table = self.model_.sample(n, draws)
        return frame_of(table).assign(**{name: table.written(name) for name in self._dates_as_texts})


def _dated(schema: Schema) -> tuple[NumberColumn, ...]:
    """Columns of dates and moments."""
    return tuple(c for c in schema.columns if isinstance(c, NumberColumn) and c.date_format)


def _is_text(cells: Any) -> bool:
    """Whether a column's moments are written out, as in a frame that was read from CSV."""
    return any(isinstance(cell, str) for cell in cells.dropna().head(1))


def _target(schema: Schema) -> str:
    names = [column.name for column in schema.columns if column.role == "target"]
    if not names:
        raise RequestError(
            "The schema has no target.", why="`y` has no column to stand in.", fix="Mark one with `role: target`."
        )
    return names[0]
