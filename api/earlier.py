"""Earlier released tables of a population, which whoever receives this one may hold too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audits.errors import BundleError
from audits.release.bundle import PROVENANCE, sha256
from audits.release.verify import signed_predicate, verify
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from privacy.table import Table, read_table

TABLE = "data/synthetic.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Tables that are out, coded by the schema of the one in question, and the digests of their bundles."""

    tables: tuple[Table, ...] = ()
    digests: tuple[str, ...] = ()


NO_EARLIER = Earlier()


def check_earlier(bundles: Sequence[Path], schema: Schema) -> None:
    """Refuse bundles that cannot be held beside a release. Raises BundleError; reads no private row."""
    for bundle in bundles:
        failed = [name for name, status, _ in verify(bundle).checks if status == "failed"]
        if failed:
            raise _refused(
                f"'{bundle.name}' does not prove itself ({', '.join(failed)}).",
                "See `tablegate verify`; name the bundle as it was sealed.",
            )
        if not signed_predicate(bundle)["released"]:
            raise _refused(f"The table of '{bundle.name}' was not let out.", "Name released bundles only.")
        known = schema_in(bundle)
        if known.population != schema.population:
            raise _refused(
                f"'{bundle.name}' is of another population.", "Name bundles of the population of the schema."
            )
        if known.names != schema.names:
            raise _refused(f"The table of '{bundle.name}' has other columns.", "Leave it out: its rows do not compare.")


def read_earlier(bundles: Sequence[Path], schema: Schema) -> Earlier:
    """The tables of checked bundles.

    Args:
        bundles: their folders.
        schema: what the rows are coded by; every bound and list is known.
    """
    return Earlier(
        tables=tuple(read_table(bundle / TABLE, schema) for bundle in bundles),
        digests=tuple(sha256((bundle / PROVENANCE).read_bytes()) for bundle in bundles),
    )


def schema_in(bundle: Path) -> Schema:
    """The public description in a bundle."""
    document = json.loads((bundle / "schema.json").read_bytes())
    return parse_schema(document, name=str(document.get("name", "table")))


def _refused(what: str, fix: str) -> BundleError:
    return BundleError(what, why="Earlier releases are held beside this one to see what they tell together.", fix=fix)
