"""What every model file holds beside the model: how columns are coded; and how its parts are read and refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from privacy.schema import Schema
from synthesizers.discretize import Attribute, Merged
from synthesizers.errors import ArtefactError
from synthesizers.marginal.domain import Domain

Array: TypeAlias = npt.NDArray[Any]


class ReadArray(Protocol):
    """Reads an array of a model file; refuses one of another type or shape, or with a value that is not finite."""

    def __call__(self, name: str, dtype: type[np.generic], shape: Sequence[int]) -> Array:
        """The named array. Raises ArtefactError."""
        ...


class KeepArray(Protocol):
    """Keeps an array for a model file."""

    def __call__(self, name: str, values: Array) -> str:
        """Its name."""
        ...


@dataclass(frozen=True, slots=True)
class Coding:
    """How the modelled columns are coded.

    Attributes:
        schema: the modelled columns, resolved.
        attributes: discretised columns.
        merged: cells of every attribute.
    """

    schema: Schema
    attributes: tuple[Attribute, ...]
    merged: Mapping[str, Merged]

    @property
    def domain(self) -> Domain:
        """Number of cells of every attribute."""
        return Domain({name: m.n_cells for name, m in self.merged.items()})


def bad(what: str) -> ArtefactError:
    """The refusal of a model file."""
    return ArtefactError(
        f"The model file cannot be used. {what}",
        why="Rows are drawn only from a model that is exactly what was fitted.",
        fix="Use the file a release left in its internal half, unchanged.",
    )
