"""The report: self-contained, accessible, and silent about what its audience may not see."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from audits.finding import Audience, Outcome
from audits.registry import AUDITS
from audits.release.bundle import seal
from audits.release.charts import distribution_chart, intervals_chart
from audits.release.gate import Verdict
from audits.release.report import event_words, render_report, show
from audits.release.scorecard import (
    ACROSS_RELEASES,
    SHADOW_MODELS,
    WITH_EARLIER,
    WITHOUT_EARLIER,
    WITHOUT_SHADOW_MODELS,
    render,
    reviewed,
)
from tests.audits.release.made_up import card, contents, key, quarantine, small

VOID = {"meta", "br", "hr", "img", "input", "link"}


@cache
def page(verdict: Verdict, audience: Audience) -> str:
    tree = card(Verdict.PASS) if verdict is Verdict.PASS else small(contents(verdict)).scorecard
    return render_report(render(tree, audience), {"fit": 1.5} if audience is Audience.INTERNAL else None)


class Outline(HTMLParser):
    """Elements in order with their attributes; raises where a tag is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def outline(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser.seen


PAGES = [
    (Verdict.PASS, Audience.RECIPIENT),
    (Verdict.PASS, Audience.INTERNAL),
    (Verdict.REVIEW, Audience.INTERNAL),
    (Verdict.WITHHOLD, Audience.RECIPIENT),
]


@pytest.mark.parametrize(("verdict", "audience"), PAGES)
def test_pages_need_no_script_and_no_network(verdict, audience):
    html = page(verdict, audience)
    assert len(html.encode()) < 1_000_000
    assert "<script" not in html.lower()
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:|srcset", html, re.IGNORECASE)
    tags = outline(html)
    assert {"script", "link", "iframe", "object", "img", "a", "foreignobject"}.isdisjoint(tag for tag, _ in tags)
    assert not any(name.startswith("on") or name in ("href", "src", "xlink:href") for _, a in tags for name in a)


@pytest.mark.parametrize(("verdict", "audience"), PAGES)
def test_pages_are_accessible(verdict, audience):
    html = page(verdict, audience)
    tags = outline(html)
    names = [tag for tag, _ in tags]
    assert names.count("h1") == names.count("main") == names.count("header") == names.count("footer") == 1
    assert dict(tags)["html"]["lang"] == "en"
    assert all(a.get("role") == "img" and a.get("aria-label") for tag, a in tags if tag == "svg")
    assert names.count("caption") == names.count("table") == names.count("thead")
    assert all(a.get("scope") in ("col", "row") for tag, a in tags if tag == "th")
    headings = [a["id"] for tag, a in tags if tag == "h2"]
    assert [a["aria-labelledby"] for tag, a in tags if tag == "section"] == headings
    assert len(set(headings)) == len(headings)
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 30rem"):
        assert rule in html


def test_the_recipients_page_holds_no_finding():
    html, internal = (
        re.sub(r"<svg.*?</svg>", "", page(Verdict.PASS, audience), flags=re.DOTALL)
        for audience in (Audience.RECIPIENT, Audience.INTERNAL)
    )
    for number in ("0.507", "0.493", "0.0021", "0.0231", "0.0611", "0.812"):
        assert number in internal
        assert number not in html
    assert "REVIEW" not in html
    assert "INTERNAL" not in html
    assert "INTERNAL" in internal


def test_pages_say_what_was_decided():
    assert "Released" in page(Verdict.PASS, Audience.RECIPIENT)
    assert "Withheld" in page(Verdict.WITHHOLD, Audience.RECIPIENT)
    assert "Waiting for review" in page(Verdict.REVIEW, Audience.INTERNAL)
    approval = {"decision": "rejected", "reviewer": "R. Meyer", "role": "steward", "time": "2024-05-01"}
    tree = reviewed(small(contents(Verdict.REVIEW)).scorecard, [approval], released=False)
    rejected = render_report(render(tree, Audience.RECIPIENT))
    assert "Rejected by review" in rejected
    assert "R. Meyer" in rejected


def test_the_promise_its_limits_and_what_was_not_tested_are_printed():
    html = page(Verdict.PASS, Audience.RECIPIENT)
    for words in (
        "differential privacy",
        "Not covered by epsilon",
        "What was not tested",
        "Where not to trust it",
        "30 × gaussian (noise multiplier 40)",
        "Where the domains come from",
        "policy digest",
    ):
        assert words in html


def test_a_table_without_a_guarantee_says_so():
    tree = small(contents()).scorecard
    html = render_report(render({**tree, "statement": None}, Audience.RECIPIENT))
    assert "No formal guarantee" in html


def test_equal_cards_give_equal_pages():
    tree = small(contents()).scorecard
    assert render_report(tree) == render_report(tree)


HOSTILE = "<script>alert(1)</script>&\"'"


def test_names_cannot_break_out_of_the_page():
    tree = small(contents()).scorecard
    facts = tree["synthetic"]
    (column,) = facts["columns"]
    bars = [{"label": HOSTILE, "share": 0.5}, {"label": "b", "share": 0.5}]
    hostile = {**facts, "columns": [{**column, "name": HOSTILE, "kind": "levels", "bars": bars}]}
    release = {**tree["release"], "table": HOSTILE}
    html = render_report(render({**tree, "synthetic": hostile, "release": release}, Audience.RECIPIENT))
    assert "<script" not in html.lower()
    assert "script" not in {tag for tag, _ in outline(html)}


def test_charts_draw_infinite_bounds_and_dates():
    row = {"label": "a", "estimate": 1.0, "low": 0.5, "high": float("inf"), "limit": None, "verdict": "REVIEW"}
    assert "<svg" in intervals_chart([row], title="t", axis="x", baseline=1.0)
    bars = [{"label": f"2020-01-0{i + 1}", "from": i, "to": i + 1, "share": 0.2} for i in range(5)]
    drawn = distribution_chart(bars, title="t", numeric=True)
    assert "2020-01-01" in drawn
    assert "2020-01-05" in drawn


def test_numbers_and_events_for_people():
    assert [show(v) for v in (None, 12345, 0.50712, "Infinity", -0.25, 1234567.0)] == [
        "–",
        "12,345",
        "0.507",
        "∞",
        "−0.25",
        "1,234,567",
    ]
    assert event_words({"event": "exponential", "epsilon": 0.1, "count": 3}) == "3 × exponential (epsilon 0.1)"
    assert event_words({"event": "other", "count": 1}) == "1 × other"


def test_the_map_of_rows_is_in_the_internal_report_alone(tmp_path: Path) -> None:
    points = [{"x": 0.0, "y": 1.0, "table": name} for name in ("train", "control", "synthetic")]
    made = replace(small(contents(Verdict.WITHHOLD)), points=points)
    bundle = seal(tmp_path / "bundle", made, synthetic=None, key=key(tmp_path), quarantine=quarantine(tmp_path))
    words = "A look at all three tables"
    assert words in (bundle.internal / "report.html").read_text()
    assert words not in (bundle.path / "report.html").read_text()


def test_shadow_models_are_said_to_be_missing_unless_they_were_asked_for() -> None:
    asked = Outcome(audit=SHADOW_MODELS, findings=(), inconclusive="too few", error="", seconds=0.0)
    assert WITHOUT_SHADOW_MODELS in card()["not_tested"]
    assert WITHOUT_SHADOW_MODELS not in card(outcomes=(asked,))["not_tested"]
    assert SHADOW_MODELS in AUDITS


def test_what_was_not_tested_of_earlier_releases_depends_on_whether_any_were_there() -> None:
    asked = Outcome(audit=ACROSS_RELEASES, findings=(), inconclusive="too few", error="", seconds=0.0)
    for outcomes, said, unsaid in (((), WITHOUT_EARLIER, WITH_EARLIER), ((asked,), WITH_EARLIER, WITHOUT_EARLIER)):
        assert said in card(outcomes=outcomes)["not_tested"]
        assert unsaid not in card(outcomes=outcomes)["not_tested"]
    assert ACROSS_RELEASES in AUDITS
