"""From a template and values to a page, and from a refusal to a page that says the same."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.access.roles import Action
from api.web.access import FORM_TOKEN, Caller
from api.web.pages.words import FILTERS
from api.web.problems import UnknownCallerError, WebError, problem_of
from privacy.errors import ReleaseError

NAVIGATION = (
    ("/", "Datasets", Action.SEE_DATASET),
    ("/releases", "Releases", Action.SEE_RELEASES),
    ("/records", "Records", Action.SEE_LOG),
    ("/policies", "Policies", Action.SEE_POLICIES),
    ("/workers", "Workers", Action.SEE_WORKERS),
    ("/people", "People", Action.MANAGE_PEOPLE),
    ("/me", "You", Action.SEE_SELF),
)

REPORT_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'"
}
"""A report is a document of its own: without script, without our origin, and with the style it carries."""


class Pages:
    """The templates of one app."""

    def __init__(self, static: Path) -> None:
        self._static = static
        self._versions: dict[str, str] = {}
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("api.web", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(FILTERS)
        self._environment.globals.update(static=self._address, Action=Action)

    def render(self, template: str, values: dict[str, Any]) -> str:
        """A template with values. Every value is escaped unless a chart made it."""
        return self._environment.get_template(f"{template}.html.j2").render(values)

    def _address(self, name: str) -> str:
        """Of a static file, changing with its content, so that browsers may keep it."""
        if name not in self._versions:
            self._versions[name] = hashlib.sha256((self._static / name).read_bytes()).hexdigest()[:12]
        return f"/static/{name}?v={self._versions[name]}"


def page(request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """A page for whoever is asking.

    Args:
        request: theirs.
        template: name of a template.
        status: of the answer.
        values: what the template shows.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    who = None if caller is None else caller.principal
    links = [(address, words) for address, words, action in NAVIGATION if who is not None and who.may_somewhere(action)]
    frame: dict[str, Any] = {
        "who": who,
        "links": links,
        "here": request.url.path,
        "token_field": FORM_TOKEN,
        "form_token": "" if caller is None else caller.form_token,
        "fields": {},
        "problem": None,
    }
    pages: Pages = request.app.state.pages
    return HTMLResponse(pages.render(template, frame | values), status)


def to(address: str) -> RedirectResponse:
    """On to another page, after something was done."""
    return RedirectResponse(address, 303)


def wants_page(request: Request) -> bool:
    """Whether a person will read the answer."""
    return not request.url.path.startswith("/v1") and "text/html" in request.headers.get("accept", "")


def problem_page(request: Request, error: ReleaseError) -> Response:
    """A refusal as a page, or as the part of one; whoever is not signed in is led to the door."""
    headers = dict(error.headers) if isinstance(error, WebError) else None
    if isinstance(error, UnknownCallerError):
        target = request.url.path if request.method == "GET" else "/"
        address = f"/sign-in?{urlencode({'next': target})}"
        return Response(status_code=401, headers={"HX-Redirect": address}) if _partial(request) else to(address)
    problem = problem_of(error)
    template = "parts/problem" if _partial(request) else "problem"
    answer = page(request, template, problem.status, problem=problem)
    answer.headers.update(headers or {})
    return answer


def own_address(text: str) -> str:
    """A path within this service to go on to, whatever was asked for."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return quote(text, safe="/?=&-_.~") if plain else "/"


def _partial(request: Request) -> bool:
    return "hx-request" in request.headers
