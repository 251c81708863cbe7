"""`dp-disclosure.yaml`: an entry for the Differential Privacy Deployments Registry, tier 3, as a draft.

Source: the registry's schema of deployments (OpenDP, after Ghazi, Nanayakkara & Vadhan). Whoever submits it still has
to say what only they know; the file begins with the names of these fields. A type or sector that nobody declared is
left out, since the registry takes only those it lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from audits.standards.described import NOT_DECLARED, Described, words_of_column

EVENT_WORDS = {
    "gaussian": "exactly rounded Gaussian mechanism on integer counts",
    "sampled-gaussian": "exactly rounded Gaussian mechanism on Poisson samples",
    "laplace": "exact discrete Laplace mechanism",
    "exponential": "exponential mechanism, sampled exactly",
    "zcdp": "zero-concentrated mechanism",
    "discovery": "discovery of a list, by a threshold on noisy counts",
    "parallel": "mechanisms on disjoint parts of the units, side by side",
}
"""Families of mechanisms, by the name that an event of the statement has."""


class _Plain(yaml.SafeDumper):
    """Long texts in blocks, one sentence after the other, so that people can read and change them."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Plain.add_representer(str, _text)


def disclosure(described: Described) -> bytes:
    """The registry's entry of a released table."""
    written = yaml.dump(
        deployment(described), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=116, default_flow_style=False
    )
    return (_head(described) + written).encode()


def deployment(described: Described) -> dict[str, Any]:
    """The entry, as plain values."""
    said, statement = described.publication, described.statement
    curator = {"data_curator_name": said.curator or NOT_DECLARED}
    if said.curator_type:
        curator["data_curator_type"] = said.curator_type
    basic: dict[str, Any] = {
        "name": described.title,
        "data_curators": [curator],
        "description": described.description,
        "intended_use": said.intended_use or NOT_DECLARED,
        "data_product_type": "Synthetic data",
        "data_product_region": said.region or NOT_DECLARED,
    }
    if said.sector:
        basic["data_product_sector"] = said.sector
    basic["publication_date"] = described.date
    return {
        "url_slug": described.identifier,
        "deployment": {
            "basic": basic,
            "dp_variant": {
                "variant_name": "Approximate DP",
                "data_domain": _domain(described),
                "unprotected_quantities": _items(statement["not_covered"]),
            },
            "privacy_loss": _loss(described),
            "deployment_model": _model(described),
            "implementation": _implementation(described),
            "administrative": {
                "status": "Draft",
                "registry_authors": [said.curator or f"Tablegate {described.code_version}, from the bundle"],
                "tier": 3,
            },
        },
    }


def _head(described: Described) -> str:
    said = described.publication
    open_fields = [
        name
        for name, value in (
            ("data_curator_name", said.curator),
            ("data_curator_type", said.curator_type),
            ("intended_use", said.intended_use),
            ("data_product_region", said.region),
            ("data_product_sector", said.sector),
        )
        if not value
    ]
    asked = f"# To be filled in by whoever submits it: {', '.join(open_fields)}.\n" if open_fields else ""
    return f"# Draft of an entry for the Differential Privacy Deployments Registry, tier 3.\n{asked}"


def _domain(described: Described) -> str:
    schema = described.schema
    columns = [f"{column.name}: {words_of_column(column)}" for column in schema.columns]
    return f"All tables of any number of rows with these columns.\n{_items(columns)}"


def _loss(described: Described) -> dict[str, Any]:
    statement, schema = described.statement, described.schema
    unit = statement["unit"]
    loss: dict[str, Any] = {
        "privacy_unit": "Row" if unit["field"] is None else "Person",
        "privacy_unit_details": (
            f"Adjacent tables differ by {unit['words']}, present in one and absent from the other "
            f"({statement['adjacency']})."
        ),
    }
    if schema.n_public.value is not None and unit["field"] is None:
        loss["number_of_privacy_units"] = schema.n_public.value
    cap, total = statement["cap"], statement["population_epsilon_at_cap_delta"]
    so_far = f"{total:.4g}" if isinstance(total, float | int) else str(total)
    return loss | {
        "privacy_parameters": {"epsilon": float(statement["epsilon"]), "delta": float(statement["delta"])},
        "privacy_parameters_details": (
            f"{statement['promise']} {statement['belief']} All releases of the population together are bounded by "
            f"epsilon {cap['epsilon']:g} at delta {cap['delta']:g}; what has been charged so far adds up to at most "
            f"{so_far}."
        ),
    }


def _model(described: Described) -> dict[str, Any]:
    signed = ", ".join(f"{one['reviewer']} ({one['role']})" for one in described.approvals)
    return {
        "model_name": "Central",
        "trust_assumptions": _items(described.statement["assumptions"]),
        "actors": (
            "The curator holds the sensitive table and runs the generator, the audits and the gate; exact findings "
            "stay with the curator. The recipient has the released bundle, and may know anything else"
            + (f". The release was approved by {signed}." if signed else ".")
        ),
        "release_type": "One release",
        "release_type_details": (
            "One table, published once. Further releases of the same population are charged to the same ledger, whose "
            "cap bounds them all together."
        ),
        "data_source_type": "Static",
        "access_type": "Non-interactive",
    }


def _implementation(described: Described) -> dict[str, Any]:
    statement, card = described.statement, described.card
    certificate = card["certificate"]
    tested = (
        ""
        if certificate is None
        else (
            f" The generator's code was run {certificate['runs_per_side']} times on each of two neighbouring tables: "
            f"the best test found proves an epsilon of at least {certificate['epsilon_lower_bound']:.3g} where "
            f"{certificate['epsilon_claimed']:g} was claimed, at {certificate['confidence']:.1%} confidence."
        )
    )
    return {
        "preprocessing_and_hyperparameter_tuning": (
            "Nothing was computed from the rows before they were charged for. Bounds and lists are declared with the "
            "documents they come from, or bought as part of the stated epsilon and delta. No hyper-parameter was tuned "
            "on the rows. " + _after_reading(statement)
        ).strip(),
        "mechanisms": (
            f"Generator '{statement['synthesizer']}', Tablegate {described.code_version}. Noise comes from the "
            "operating system's cryptographic generator; counts and scores are integers, so there is no floating-point "
            "residue.\n" + _items(_bought(statement["bought"]))
        ),
        "composition": (
            f"Adaptive composition of all events listed, by the {statement['accountant']} accountant; epsilon was "
            "computed again from the events that were really emitted. Across releases a Rényi filter bounds the "
            "population's total."
        ),
        "post_processing": (
            "The model was fitted to the noisy measurements, and its rows were drawn, repaired by the declared rules "
            "and written without another look at the table, except for the decision to release (see the unprotected "
            "quantities)."
        ),
        "justification": (
            f"The table was judged by policy '{card['release']['policy']['name']}' (policy.json), which allows an "
            f"epsilon of at most {card['asked']['max_epsilon']:g}." + tested
        ),
        "utility": (
            "report.html and scorecard.json give, for every column and pair, a bound on the distance from the table "
            "the model learned from."
        ),
        "additional_information": _items(card["not_tested"]),
    }


def _after_reading(statement: Mapping[str, Any]) -> str:
    marked = [words for words in statement["not_covered"] if "after the rows were read" in words]
    return " ".join(marked)


def _bought(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every purpose with the families of its mechanisms, each once."""
    words = []
    for line in lines:
        families = dict.fromkeys(EVENT_WORDS.get(event["event"], event["event"]) for event in line["events"])
        words.append(f"{line['purpose']}: {'; '.join(families)}")
    return words


def _items(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts) + "\n"
