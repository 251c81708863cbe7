"""Transition tables are data: what they allow, what they refuse, and that the documents draw them as they are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.desk.errors import ConflictError
from api.desk.states import (
    AT_WORK,
    CHECK,
    DATASET,
    FINAL,
    RELEASE,
    CheckState,
    DatasetState,
    Move,
    ReleaseState,
    diagram,
    moved,
)
from privacy.recompute import ROOT

TABLES = {DATASET: DatasetState, RELEASE: ReleaseState, CHECK: CheckState}


def test_the_documents_draw_the_tables_as_they_are() -> None:
    drawn = re.findall(r"```mermaid\n(.*?)```", (ROOT / "docs" / "service.md").read_text(), re.DOTALL)
    assert drawn == [diagram(moves) for moves in TABLES]


@pytest.mark.parametrize("moves", TABLES, ids=["dataset", "release", "check"])
def test_every_state_can_be_reached_and_every_end_is_meant(moves: tuple[Move, ...]) -> None:
    states = set(TABLES[moves])
    reached: set[str] = {move.end for move in moves if not move.starts}
    for _ in states:
        reached |= {move.end for move in moves if set(move.starts) & reached}
    assert reached == states


def test_a_table_is_out_only_after_an_approval() -> None:
    """Whatever acts follow one another."""
    assert {move.act for move in RELEASE if move.end == ReleaseState.PUBLISHED} == {"publish"}
    assert {start for move in RELEASE if move.act == "publish" for start in move.starts} == {ReleaseState.APPROVED}
    assert {move.act for move in RELEASE if move.end == ReleaseState.APPROVED} == {"approve"}
    assert FINAL == {"rejected", "withheld", "failed", "cancelled", "withdrawn", "expired"}
    assert not AT_WORK & FINAL


@given(acts=st.lists(st.sampled_from([move.act for move in RELEASE if move.starts]), max_size=12))
def test_no_sequence_of_acts_leaves_a_final_state(acts: list[str]) -> None:
    state: str = ReleaseState.QUEUED
    for act in acts:
        try:
            state = moved(RELEASE, state, act)
        except ConflictError:
            continue
        if state in FINAL:
            with pytest.raises(ConflictError):
                moved(RELEASE, state, act)
