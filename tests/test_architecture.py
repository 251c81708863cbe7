"""What the code promises of itself, read off its syntax trees: who imports what, and where privacy is spent."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from privacy.recompute import ROOT

PACKAGES = ("privacy", "synthesizers", "audits", "api")
MODULES = [path.relative_to(ROOT) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
BENCH = [path.relative_to(ROOT) for path in sorted((ROOT / "bench").rglob("*.py"))]
ALLOWED = {
    "privacy": set(),
    "synthesizers": {"privacy"},
    "audits": {"privacy"},
    "api": {"privacy", "synthesizers", "audits"},
}
MAX_LINES = 400
MEASURE = (
    Path("synthesizers"),
    Path("audits/bought/purchase.py"),
    Path("audits/drift/histograms.py"),
    Path("bench/transcript.py"),
    Path("bench/ablation.py"),
)
SPEND = (Path("privacy/filter.py"), Path("synthesizers/domains.py"), Path("bench/transcript.py"))
DRAW = (Path("privacy/filter.py"), Path("bench/transcript.py"))
SECRET = (Path("privacy/noise.py"),)
PRINTS = (Path("api/display.py"),)
HEAVY = {
    "pandas": (Path("privacy/cells.py"),),
    "dask": (Path("api/executors/clusters.py"),),
    "distributed": (Path("api/executors/clusters.py"),),
    "ray": (Path("api/executors/clusters.py"),),
    "sklearn": (Path("audits"),),
    "synthcity": (Path("api/integrations/synthcity_child.py"), Path("api/integrations/synthcity_plugins.py")),
    "sdmetrics": (Path("api/integrations/sdmetrics.py"),),
    "evidently": (Path("api/integrations/evidently.py"),),
    "mlflow": (Path("api/integrations/mlflow.py"),),
    "sdv": (),
    "ydata_profiling": (),
    "torch": (Path("synthesizers/neural"),),
    "opacus": (Path("synthesizers/neural/clipping.py"),),
    "statsmodels": (Path("api/demo"),),
    "altair": (Path("audits/release/charts.py"),),
    "vl_convert": (Path("audits/release/charts.py"),),
    "weasyprint": (Path("audits/release/paper.py"),),
    "sqlite3": (Path("privacy/journal.py"),),
    "typer": (Path("api"),),
    "rich": (Path("api"),),
    "dbos": (Path("api/work/engine.py"),),
    "fsspec": (Path("api/vault/store.py"),),
    "alembic": (Path("api/store"),),
    "fastapi": (Path("api/web"),),
    "uvicorn": (Path("api/processes.py"),),
    "httpx2": (Path("api/client.py"), Path("api/calls.py"), Path("api/access/elsewhere.py")),
}
"""Where a package that is heavy, or belongs at an edge, may be imported."""

ENTROPY = {"secrets", "uuid", "random"}
ENTROPY_ALLOWED = {
    Path("audits/release/quarantine.py"): {"secrets"},  # keys and nonces
    Path("audits/release/review.py"): {"secrets"},  # a nonce
    Path("audits/release/staging.py"): {"secrets"},  # names of folders
    Path("audits/release/signing.py"): {"secrets"},  # names of files
    Path("privacy/checkpoint.py"): {"secrets"},  # keys and nonces
    Path("api/streams.py"): {"secrets"},  # a publishable seed
    Path("api/store/identity.py"): {"secrets"},  # ids and tokens
    Path("api/vault/keys.py"): {"secrets"},  # keys of tables
    Path("api/vault/rotation.py"): {"secrets"},  # what an old key is overwritten with
    Path("api/web/guards.py"): {"secrets"},  # ids of requests
    Path("api/demo/service.py"): {"secrets"},  # a password that is shown once
    Path("bench/peers/drivers/mbi.py"): {"secrets"},  # as the next: noise that differs from run to run
    Path("bench/peers/drivers/synthcity.py"): {"secrets"},
}


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


@cache
def imported(module: Path) -> set[str]:
    """Top names of everything a module imports, inside functions too."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a chain of attributes; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def calls_of(module: Path, method: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method:
            yield node


def inside(module: Path, places: tuple[Path, ...]) -> bool:
    return any(place == module or place in module.parents for place in places)


def test_import_linter_holds() -> None:
    """The contracts of pyproject.toml, by the tool itself."""
    tool = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 broken" in ended.stdout


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_one_way(module: Path) -> None:
    package = module.parts[0]
    assert imported(module) & ALLOWED.keys() <= ALLOWED[package] | {package}
    assert not imported(module) & {"tests", "bench"}


@pytest.mark.parametrize("package", HEAVY)
def test_a_heavy_package_stays_where_it_belongs(package: str) -> None:
    assert [str(m) for m in MODULES if package in imported(m) and not inside(m, HEAVY[package])] == []


@pytest.mark.parametrize("module", [*MODULES, *BENCH], ids=str)
def test_no_randomness_but_what_is_passed_in(module: Path) -> None:
    """No global generator, no seedless one: `numpy.random` gives types and seeded generators only."""
    assert imported(module) & ENTROPY <= ENTROPY_ALLOWED.get(module, set())
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute) and dotted(node).startswith(("np.random.", "numpy.random.")):
            assert dotted(node).split(".")[2] in {"Generator", "default_rng", "SeedSequence"}
        if isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
            assert {alias.name for alias in node.names} <= {"Generator", "default_rng", "SeedSequence"}
        if isinstance(node, ast.Call) and dotted(node.func).endswith("default_rng"):
            assert node.args, "a generator without a seed repeats nothing"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_privacy_takes_randomness_from_its_noise_source_alone(module: Path) -> None:
    """Under privacy/ only the noise source makes a generator, and only the seeded one for tests."""
    if module.parts[0] == "privacy" and module not in SECRET:
        names = {dotted(node) for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute | ast.Name)}
        assert not {name for name in names if "default_rng" in name or name.startswith("np.random")}


@pytest.mark.parametrize("module", [*MODULES, *BENCH], ids=str)
def test_secret_bytes_come_through_the_noise_source(module: Path) -> None:
    used = any(dotted(n).endswith(("os.urandom", "os.getrandom")) for n in ast.walk(tree(module)))
    assert not used or module in SECRET


@pytest.mark.parametrize("module", [*MODULES, *BENCH], ids=str)
def test_privacy_is_spent_at_known_places_only(module: Path) -> None:
    """`grep measure` lists every place where a private value becomes public; a mechanism is drawn by the filter."""
    if not inside(module, MEASURE):
        assert not list(calls_of(module, "measure"))
        assert not list(calls_of(module, "measure_sample"))
    if not inside(module, SPEND):
        assert not list(calls_of(module, "spend"))
    if not inside(module, DRAW):
        assert not list(calls_of(module, "draw"))


def test_there_is_one_key_to_the_filter() -> None:
    """Only the ledger makes a filter, so that nothing is measured that was not charged, and a filter divides itself
    among parts of the units; and a rehearsal, whose findings stay inside, where a generator is fitted again."""
    made = [str(m) for m in MODULES for n in ast.walk(tree(m))
            if isinstance(n, ast.Call) and dotted(n.func).endswith("PrivacyFilter")]  # fmt: skip
    assert set(made) == {"privacy/ledger.py", "privacy/filter.py", "privacy/rehearsal.py"}
    assert {str(m) for m in MODULES if list(calls_of(m, "rehearsal"))} <= {"api/refitting.py"}
    named = {str(m) for m in MODULES if "rehearsal(" in (ROOT / m).read_text()}
    assert named == {"privacy/rehearsal.py", "api/refitting.py"}


def test_seeded_noise_is_for_tests() -> None:
    """And for what is no release: fits an audit repeats, and coins nobody's membership hangs on."""
    no_release = {Path("privacy/rehearsal.py"), Path("api/foreign.py")}
    used = {m for m in [*MODULES, *BENCH] if "seeded_noise(" in (ROOT / m).read_text()}
    assert used - set(SECRET) == no_release


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nothing_is_printed_or_warned_of(module: Path) -> None:
    calls = {dotted(node.func) for node in ast.walk(tree(module)) if isinstance(node, ast.Call)}
    assert not calls & {"warnings.warn", "logging.info", "logging.warning", "breakpoint"}
    assert "print" not in calls or module in PRINTS


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_files_stay_short(module: Path) -> None:
    assert (ROOT / module).read_text().count("\n") <= MAX_LINES


def test_the_pipeline_is_one_page_without_a_branch() -> None:
    """`release` reads from top to bottom: no `if`, no loop, no `try`."""
    module = tree(Path("api/pipeline.py"))
    release = next(n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == "release")
    branching = (ast.If, ast.For, ast.While, ast.Try, ast.IfExp, ast.Match)
    assert not [type(n).__name__ for n in ast.walk(release) if isinstance(n, branching)]


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 50
    assert len(BENCH) > 2
    assert all((ROOT / m).exists() for m in ENTROPY_ALLOWED)
