"""The frontier's bookkeeping: nothing is measured twice, and table and picture show the means of what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bench.frontier import METRICS, Results, key, label_shift, missing, picture, standing, table
from bench.peers.registry import PEERS


def result(system: str, epsilon: float, seed: int, tvd2: float, sources: str = "now") -> dict[str, Any]:
    return {
        "system": system, "table": "made up", "epsilon": epsilon, "seed": seed, "sources": sources,
        "seconds": 2.0, "cpu_seconds": 1.5, "megabytes": 100.0, "tvd2": tvd2, "hgb_auc": 0.8, "lr_auc": 0.7,
        "label_shift": 0.01 * (1 + seed),
    }  # fmt: skip


def test_what_is_known_is_not_measured_again(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    assert results.read() == []
    results.add(result("aim", 1.0, 0, 0.1))
    results.add(result("aim", 1.0, 1, 0.3))
    known = {key(r) for r in results.read()}
    assert len(known) == 2
    assert key(result("aim", 1.0, 0, 0.1, sources="later")) not in known
    assert list(missing([], known)) == []


def test_table_and_picture_show_means_of_the_latest_sources() -> None:
    results = [
        result("aim", 1.0, 0, 0.5, sources="before"),
        result("aim", 1.0, 0, 0.1),
        result("aim", 1.0, 1, 0.3),
        result("mst", 3.0, 0, 0.25),
    ]
    lines = table(results).splitlines()
    assert lines[2].startswith("| made up | aim | 1 | 2 | 0.200 | 0.800 | 0.700 | 0.020 |")
    assert lines[3].startswith("| made up | mst | 3 | 1 | 0.250 |")
    drawn = picture(results)
    assert ElementTree.fromstring(drawn).tag.endswith("svg")  # noqa: S314 - our own drawing
    for word in ("two-way TVD", "made up", "aim", "mst", "epsilon"):
        assert word in drawn


def test_a_system_without_a_result_is_named_as_such() -> None:
    failed = {
        **{k: v for k, v in result("slow", 1.0, 0, 0.0).items() if k not in METRICS},
        "failed": "no result in 9 CPU s",
    }
    lines = table([failed, result("aim", 1.0, 0, 0.1)]).splitlines()
    assert lines[3] == "| made up | slow | 1 | 1 | no result in 9 CPU s | | | | | |"
    assert "slow" not in picture([failed, result("aim", 1.0, 0, 0.1)])
    assert "| made up | slow | 1 | 1 | 0.200 |" in table([failed, result("slow", 1.0, 1, 0.2)])


def test_standing_is_against_those_whose_guarantee_holds() -> None:
    broken = next(name for name, peer in PEERS.items() if peer.broken)
    results = [
        result("aim", 1.0, 0, 0.1),
        result("mst", 1.0, 0, 0.2),
        result("dpmm aim", 1.0, 0, 0.15),
        result("dpmm mst", 1.0, 0, 0.4),
        result(broken, 1.0, 0, 0.01),
        result("aim", 3.0, 0, 0.1),
    ]
    lines = standing(results).splitlines()
    assert lines[2] == "| made up | 1 | two-way TVD | aim 0.100 | dpmm aim 0.150 | +0.050 |"
    assert lines[3] == "| made up | 1 | HistGB AUC | aim 0.800 | dpmm aim 0.800 | +0.000 |"
    assert len(lines) == 2 + len(METRICS)


def test_the_picture_tells_every_pair_of_systems_apart() -> None:
    drawn = picture([result(system, epsilon, 0, 0.1) for system in ("aim", *PEERS) for epsilon in (1.0, 3.0)])
    for peer in PEERS.values():
        assert peer.system in drawn
        assert peer.method in drawn


def test_label_shift_is_the_class_whose_share_moved_most(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y\n" + "1, no\n" * 6 + "1, yes\n" * 3 + "1,?\n")
    (tmp_path / "out.csv").write_text("a,y\n" + "1,no\n" * 2 + "1,yes\n" * 2)
    assert label_shift(tmp_path / "train.csv", tmp_path / "out.csv", "y") == 0.2
