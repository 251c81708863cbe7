"""`ro-crate-metadata.json`: the bundle as an RO-Crate whose actions are the phases of the Five Safes profile.

Sources: RO-Crate 1.2; the review phases of Five Safes RO-Crate 0.5-DRAFT, whose terms are those of the Safe Haven
Provenance ontology. The crate claims the first. It does not claim the second, which asks for a workflow to run again
elsewhere: nobody is to run this one on rows they must not see. No action has a start time, since the length of a run is
not for publication; people's acts carry the time they gave.
"""

from __future__ import annotations

from typing import Any

from audits.standards.described import MEDIA_TYPES, Described, pretty

CONTEXT, RO_CRATE = "https://w3id.org/ro/crate/1.2/context", "https://w3id.org/ro/crate/1.2"
SHP = "https://w3id.org/shp#"
DONE = "http://schema.org/CompletedActionStatus"
METADATA = "ro-crate-metadata.json"
RESULTS = ("data/synthetic.parquet", "data/synthetic.csv", "statement.json", "scorecard.json", "report.html")
SOFTWARE, SOURCE, PROJECT, HOLDER = "#tablegate", "#sensitive-table", "#population", "#holder"
SEALED_LATER = {
    "MANIFEST.sha256": "Digests of the files",
    "provenance.dsse.json": "The signed statement over all files (DSSE, in-toto)",
}
"""Files that are made after this one, since they cover it."""

NAMES = {
    "data/synthetic.csv": "The synthetic table as CSV",
    "data/synthetic.parquet": "The synthetic table as Parquet, typed",
    "scorecard.json": "The scorecard, for programs",
    "report.html": "The report, for people",
    "statement.json": "The privacy statement",
    "policy.json": "The limits the table was judged by",
    "schema.json": "The public description of the columns",
    "README.txt": "What this is",
    "signing-key.pub.pem": "The key the bundle is signed with",
    "DATASHEET.md": "The datasheet",
    "croissant.json": "The description in Croissant",
    "datapackage.json": "The description as a Data Package",
    "dp-disclosure.yaml": "Draft of an entry for the DP Deployments Registry",
}


def crate(described: Described) -> bytes:
    """The metadata file of the crate."""
    files = [_file(described, name) for name in sorted(described.files)]
    later = [
        {"@id": name, "@type": "File", "name": name, "description": words, "encodingFormat": _media_type(name)}
        for name, words in SEALED_LATER.items()
    ]
    actions = [*_before(described), _run(described), *_after(described)]
    people = [
        {"@id": f"#person-{i}", "@type": "Person", "name": one["reviewer"], "jobTitle": one["role"]}
        for i, one in enumerate(described.approvals, 1)
    ]
    graph = [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": RO_CRATE},
        },
        _root(described, [*files, *later], actions),
        *files,
        *later,
        *actions,
        *people,
        *_things(described),
    ]
    return pretty({"@context": CONTEXT, "@graph": graph})


def _root(described: Described, files: list[dict[str, Any]], actions: list[dict[str, Any]]) -> dict[str, Any]:
    said = described.publication
    return {
        "@id": "./",
        "@type": "Dataset",
        **({"url": said.homepage} if said.homepage else {}),
        "name": described.title,
        "description": described.description,
        "datePublished": described.date,
        "license": {"@id": said.licenses[0].path or "#license"} if said.licenses else {"@id": "#license"},
        "publisher": {"@id": HOLDER},
        "sourceOrganization": {"@id": PROJECT},
        "keywords": ", ".join(said.keywords) or "synthetic data, differential privacy",
        "hasPart": [{"@id": file["@id"]} for file in files],
        "mentions": [{"@id": action["@id"]} for action in actions],
    }


def _file(described: Described, name: str) -> dict[str, Any]:
    return {
        "@id": name,
        "@type": "File",
        "name": name.rpartition("/")[2],
        "description": NAMES[name],
        "encodingFormat": _media_type(name),
        "contentSize": str(described.files[name].size),
    }


def _media_type(name: str) -> str:
    return MEDIA_TYPES[name.rpartition(".")[2]]


def _assessed(phase: str, term: str, name: str, objects: list[str], instrument: str, agent: str) -> dict[str, Any]:
    return {
        "@id": f"#{phase}",
        "@type": "AssessAction",
        "additionalType": {"@id": f"{SHP}{term}"},
        "name": name,
        "object": [{"@id": one} for one in objects],
        "instrument": {"@id": instrument},
        "agent": {"@id": agent},
        "actionStatus": DONE,
    }


def _before(described: Described) -> list[dict[str, Any]]:
    """Check, validation and sign-off: before a row was read."""
    cap = described.statement["cap"]
    return [
        _assessed(
            "check",
            "CheckValue",
            "Integrity of the request, its schema and its policy: OK",
            ["./", "schema.json", "policy.json"],
            "#sha-256",
            HOLDER,
        ),
        _assessed(
            "validation",
            "ValidationCheck",
            "Validation of the schema and the request, before a row was read: approved",
            ["./", "schema.json"],
            SOFTWARE,
            HOLDER,
        ),
        _assessed(
            "sign-off",
            "SignOff",
            f"Sign-off by the ledger: the charge fits the population's cap (epsilon {cap['epsilon']:g}, delta "
            f"{cap['delta']:g}): approved",
            ["./", PROJECT],
            "#ledger",
            HOLDER,
        ),
    ]


def _run(described: Described) -> dict[str, Any]:
    """The execution: from the sensitive table to the synthetic one."""
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Synthesis with '{described.statement['synthesizer']}' under differential privacy",
        "description": str(described.statement["promise"]),
        "instrument": {"@id": SOFTWARE},
        "agent": {"@id": HOLDER},
        "object": [{"@id": SOURCE}, {"@id": "schema.json"}, {"@id": "policy.json"}],
        "result": [{"@id": name} for name in RESULTS],
        "endTime": described.date,
        "actionStatus": DONE,
    }


def _after(described: Described) -> list[dict[str, Any]]:
    """Disclosure, by the gate and by people where they were asked, and publishing."""
    verdict = described.card["release"]["verdict"]
    gate = _assessed(
        "disclosure",
        "DisclosureCheck",
        f"Disclosure check by the release gate, policy '{described.card['release']['policy']['name']}': {verdict}",
        ["./", "data/synthetic.parquet", "data/synthetic.csv"],
        "policy.json",
        HOLDER,
    )
    people = [
        _assessed(
            f"disclosure-{i}",
            "DisclosureCheck",
            f"Disclosure check by a person, as {one['role']}: {one['decision']}",
            ["./", "data/synthetic.parquet", "data/synthetic.csv"],
            "policy.json",
            f"#person-{i}",
        )
        | {"endTime": one["time"]}
        for i, one in enumerate(described.approvals, 1)
    ]
    sealed = {
        "@id": "#publishing",
        "@type": "UpdateAction",
        "additionalType": {"@id": f"{SHP}GenerateCheckValue"},
        "name": "Digests of the files taken and signed",
        "object": {"@id": "./"},
        "instrument": {"@id": "#sha-256"},
        "agent": {"@id": HOLDER},
        "actionStatus": DONE,
    }
    return [gate, *people, sealed]


def _things(described: Described) -> list[dict[str, Any]]:
    """What the actions speak of."""
    said, release = described.publication, described.card["release"]
    return [
        {
            "@id": HOLDER,
            "@type": "Organization",
            "name": said.curator or "The holder of the sensitive table, who is not declared",
        },
        {
            "@id": SOFTWARE,
            "@type": "CreativeWork",
            "name": "Tablegate",
            "version": described.code_version,
        },
        {
            "@id": SOURCE,
            "@type": "Dataset",
            "name": f"The sensitive table '{release['table']}'",
            "description": "It is not part of the crate and is not published.",
        },
        {
            "@id": PROJECT,
            "@type": "Project",
            "name": f"Releases of the population '{release['population']}'",
            "member": {"@id": HOLDER},
        },
        {
            "@id": "#ledger",
            "@type": "CreativeWork",
            "name": "The ledger of what the population has spent",
        },
        {"@id": "#sha-256", "@type": "DefinedTerm", "name": "SHA-256"},
        _license(described),
    ]


def _license(described: Described) -> dict[str, Any]:
    licenses = described.publication.licenses
    if not licenses:
        return {
            "@id": "#license",
            "@type": "CreativeWork",
            "name": "No licence is declared",
            "description": "Ask the holder of the table what the recipient may do with it.",
        }
    one = licenses[0]
    return {"@id": one.path or "#license", "@type": "CreativeWork", "name": one.name or one.path}
