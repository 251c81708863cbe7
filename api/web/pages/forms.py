"""From the fields of a form to the bodies of the REST interface, and back into the form where they were refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError

from api.web.access import FORM_TOKEN
from api.web.problems import invalid
from api.web.wire import NewRelease, Recipe
from api.web.wire_monitors import NewMonitor
from privacy.errors import ReleaseError

Body = TypeVar("Body", Recipe, NewRelease, NewMonitor)
LINES = ("where", "balance")
RECIPE = ("synthesizer", "epsilon", "delta", "rows", *LINES)


async def fields(request: Request) -> dict[str, str]:
    """The fields of a form, without its token; a field that is not a text is no field of ours."""
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str) and name != FORM_TOKEN}


def recipe_of(given: Mapping[str, str]) -> Recipe:
    """What a form asks the price of. Raises ReleaseError."""
    return _parsed(Recipe, {name: value for name, value in given.items() if name in Recipe.model_fields})


def request_of(given: Mapping[str, str]) -> NewRelease:
    """What a form asks for. Raises ReleaseError."""
    return _parsed(NewRelease, {name: value for name, value in given.items() if name in NewRelease.model_fields})


def monitor_of(given: Mapping[str, str]) -> NewMonitor:
    """What a form asks of a monitor. Raises ReleaseError."""
    return _parsed(NewMonitor, {name: value for name, value in given.items() if name in NewMonitor.model_fields})


def fields_of(asked: Mapping[str, Any], **words: str) -> dict[str, str]:
    """A recipe as the fields of the form that asks for it."""
    given = {name: "\n".join(asked[name]) if name in LINES else str(asked[name]) for name in RECIPE if asked[name]}
    return given | words


def _parsed(model: type[Body], given: Mapping[str, str]) -> Body:
    values: dict[str, Any] = {name: value for name, value in given.items() if value.strip() and name not in LINES}
    for name in (name for name in LINES if name in model.model_fields):
        values[name] = [line.strip() for line in given.get(name, "").splitlines() if line.strip()]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise incomplete(error) from None


def incomplete(error: ValidationError) -> ReleaseError:
    """The error for a form whose fields are not what they should be."""
    return invalid(error.errors())
