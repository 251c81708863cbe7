"""Our generators as plugins of synthcity: `register()`, then `Plugins().get("tablegate_aim", ...)` and `Benchmarks`.

A plugin is told the schema, which is public, and the budget; every fit is charged to a ledger, so that a benchmark of
several repeats pays for each. Of the library's own ways three are left out, since they read private facts past the
budget: rows are not matched with the ranges and lists of the training rows (`strict`); where no number is asked for,
the measured number of rows is drawn and not the exact one; and the ranges, lists and number of rows that a plugin keeps
are those of rows drawn from the model. Rows come back as the schema writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthcity.plugins import Plugins
from synthcity.plugins.core.dataloader import DataLoader, GenericDataLoader, create_from_info
from synthcity.plugins.core.distribution import FloatDistribution
from synthcity.plugins.core.plugin import Plugin
from synthcity.plugins.core.schema import Schema

from api.integrations.generator import Generator
from synthesizers.registry import SYNTHESIZERS

PREFIX = "tablegate_"


class TablegatePlugin(Plugin):  # type: ignore[misc]
    """One of our synthesizers, by the class's `synthesizer`.

    Args:
        schema: path of a schema file, or a parsed document.
        epsilon, delta: totals for everything a fit buys.
        ledger: the ledger's file; one a user by default.
        device: "auto", "cpu" or "cuda".
        random_state: seed of sampling, which protects nobody.
        workspace: the library's own folder; nothing is kept in it.
    """

    synthesizer = ""

    def __init__(
        self,
        schema: str | Mapping[str, Any],
        epsilon: float = 1.0,
        delta: float = 1e-6,
        ledger: str | None = None,
        device: str = "auto",
        random_state: int = 0,
        workspace: Path = Path("workspace"),
        **kwargs: Any,
    ) -> None:
        settings = {**kwargs, "strict": False, "compress_dataset": False}
        super().__init__(device=device, random_state=random_state, workspace=workspace, **settings)
        self.generator = Generator(
            schema,
            synthesizer=self.synthesizer,
            epsilon=epsilon,
            delta=delta,
            ledger=ledger,
            device=device,
            random_state=random_state,
        )

    @classmethod
    def name(cls) -> str:
        """Name among the plugins."""
        return PREFIX + cls.synthesizer.replace("-", "_")

    @staticmethod
    def type() -> str:
        """Category among the plugins."""
        return "privacy"

    @staticmethod
    def hyperparameter_space(**kwargs: Any) -> list[Any]:  # noqa: ARG004 - as the base class calls it
        """What a search may vary: each trial is charged."""
        return [FloatDistribution(name="epsilon", low=0.1, high=10.0)]

    def fit(self, X: Any, *args: Any, **kwargs: Any) -> Any:
        """Fit to a data loader or a data frame."""
        loader = X if isinstance(X, DataLoader) else GenericDataLoader(X)
        self._fit(loader, *args, **kwargs)
        drawn = create_from_info(self.generator.sample(random_state=self.random_state), loader.info())
        self.data_info = drawn.info()
        self._schema = self._training_schema = Schema(data=drawn, random_state=self.random_state)
        self.fitted = True
        return self

    def generate(
        self, count: int | None = None, constraints: Any = None, random_state: int | None = None, **kwargs: Any
    ) -> Any:
        """Draw rows; those that meet the caller's constraints, where there are any."""
        drawn = self._generate(count, None, random_state=random_state, **kwargs)
        return drawn if constraints is None else drawn.match(constraints)

    def _fit(self, X: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002 - as the base class calls it
        self.generator.fit(X.dataframe())
        return self

    def _generate(self, count: int | None, syn_schema: Any, **kwargs: Any) -> Any:  # noqa: ARG002 - as above
        return create_from_info(self.generator.sample(count, random_state=kwargs.get("random_state")), self.data_info)


PLUGINS: tuple[type[TablegatePlugin], ...] = tuple(
    type(f"Tablegate{name.title().replace('-', '')}Plugin", (TablegatePlugin,), {"synthesizer": name})
    for name in SYNTHESIZERS
)


def register() -> tuple[str, ...]:
    """Make our plugins known to every `Plugins()` of this process; returns their names."""
    loader = Plugins(categories=["privacy"])
    for plugin in PLUGINS:
        loader.add(plugin.name(), plugin)
    return tuple(plugin.name() for plugin in PLUGINS)
