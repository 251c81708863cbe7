"""`DATASHEET.md`: the questions of a datasheet, answered from what is known of the release.

Source: Gebru et al. (2021), Datasheets for Datasets, Communications of the ACM 64(12).
"""

from __future__ import annotations

import re
from typing import Any

import jinja2

from audits.standards.described import NOT_DECLARED, Described, words_of_column
from privacy.columns import LevelColumn

WIDEST = 10


def datasheet(described: Described) -> bytes:
    """The datasheet of a released table."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("audits.standards", "templates"),
        autoescape=False,  # noqa: S701 (Markdown, not HTML: `cell` and `_plain` escape what would break it)
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    said = described.publication
    page = environment.get_template("DATASHEET.md.j2").render(
        d=described,
        said=said,
        none_said=NOT_DECLARED,
        card=described.card,
        statement=described.statement,
        columns=[
            {"name": c.name, "words": words_of_column(c), "role": str(c.role), "sensitive": c.sensitive}
            for c in described.schema.columns
        ],
        widest=_widest(described.card["error_bounds"]),
        cites=_cites(described),
        dropped=list(described.schema.dropped),
        licenses=", ".join(one.name or one.path for one in said.licenses),
        decided=_decided(described),
    )
    return (re.sub(r"\n{3,}", "\n\n", page).strip() + "\n").encode()


def _cell(text: Any) -> str:
    """A text as a cell of a Markdown table."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|")


def _widest(bounds: Any) -> list[dict[str, str]]:
    """The columns and pairs whose bounds are widest, those without a bound first."""
    entries = [(entry["column"], entry["bound"]) for entry in bounds["columns"]]
    entries += [(", ".join(entry["columns"]), entry["bound"]) for entry in bounds["pairs"]]
    entries.sort(key=lambda entry: (-(float("inf") if entry[1] is None else entry[1]), entry[0]))
    return [
        {"of": of, "bound": "none" if bound is None else f"{min(bound, 1.0):.3g}"} for of, bound in entries[:WIDEST]
    ]


def _decided(described: Described) -> str:
    people = [f"{one['reviewer']} ({one['role']}, {one['time']})" for one in described.approvals]
    policy = described.card["release"]["policy"]["name"]
    return f"{', '.join(people) or 'Nobody but the checks themselves'}, under policy `{policy}`."


def _cites(described: Described) -> list[str]:
    cites = []
    for column in described.schema.columns:
        if isinstance(column, LevelColumn):
            cites.append(column.cite)
        else:
            cites += [column.minimum_cite, column.maximum_cite]
    cites.append(described.schema.n_public.cite)
    return [" ".join(cite.split()) for cite in dict.fromkeys(cites) if cite]
