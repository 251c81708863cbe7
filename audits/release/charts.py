"""Charts: Altair specifications rendered to SVG by vl-convert, the same SVG on every page and in print.

A chart is a pure function of rows of numbers and gives a fragment of SVG to be put inline: no script, no external
resource, no fixed size (it fills its column), and six colours that the page's style sheet recolours for dark screens.
Verdicts differ by shape as well as by colour. Charts are drawn 410 wide, so that their text stays readable on a phone.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt
import vl_convert

INK, MUTED, GRID = "#1f2933", "#5f6f7f", "#dde3ea"
ACCENT, WARN, BAD = "#2563a8", "#9a6700", "#b3261e"
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
PLOT_WIDTH = 225
ROW_HEIGHT = 24
SMALL_WIDTH = 230
PADDING = {"left": 16, "right": 4, "top": 4, "bottom": 4}
"""Labels were measured in the first font; a page that has none of them draws wider ones, to the left of their end."""

VERDICTS = ("PASS", "REVIEW", "WITHHOLD")

Row = Mapping[str, Any]


def intervals_chart(rows: Sequence[Row], *, title: str, axis: str, baseline: float) -> str:
    """A forest plot: one row a finding, a point with its 95% bounds, a tick at its limit, a line at the baseline.

    Args:
        rows: `label`, `estimate`, `low`, `high`, `limit` (None for none), `verdict`; in the order shown.
        title: read out by screen readers.
        axis: what the numbers are.
        baseline: the value when nothing leaks or is lost.
    """
    drawn = [
        {**row, "low": _finite(row["low"], row["estimate"]), "high": _finite(row["high"], row["estimate"])}
        for row in rows
    ]
    y = _rows_axis(drawn)
    apart = alt.Axis(labelOverlap=True, labelSeparation=6)
    x = alt.X("low:Q", title=axis, scale=alt.Scale(zero=False, nice=True), axis=apart)
    base = alt.Chart(_data(drawn))
    zero = alt.Chart(_data([{"x": baseline}])).mark_rule(color=MUTED, strokeDash=[2, 3]).encode(x="x:Q")
    reach = base.mark_rule(strokeWidth=2.5, color=ACCENT).encode(x=x, x2="high:Q", y=y)
    point = base.mark_point(size=75, filled=True, opacity=1).encode(
        x="estimate:Q",
        y=y,
        shape=alt.Shape(
            "verdict:N", scale=alt.Scale(domain=list(VERDICTS), range=["circle", "diamond", "square"]), legend=None
        ),
        color=alt.Color("verdict:N", scale=alt.Scale(domain=list(VERDICTS), range=[ACCENT, WARN, BAD]), legend=None),
    )
    limits = [row for row in drawn if row.get("limit") is not None]
    tick = (
        alt.Chart(_data(limits)).mark_tick(color=BAD, thickness=2, size=18).encode(x="limit:Q", y=y) if limits else None
    )
    layers = [zero, reach, *([tick] if tick is not None else []), point]
    return _svg(_sized(alt.layer(*layers), len(drawn)), title)


def pairs_chart(rows: Sequence[Row], *, title: str, axis: str) -> str:
    """Two numbers a row: `value` as a filled circle, `reference` as an open diamond, a line between them."""
    y = _rows_axis(rows)
    base = alt.Chart(_data(rows))
    x = alt.X("reference:Q", title=axis, scale=alt.Scale(zero=False, nice=True))
    between = base.mark_rule(color=GRID, strokeWidth=3).encode(x=x, x2="value:Q", y=y)
    reference = base.mark_point(shape="diamond", size=60, color=MUTED, opacity=1).encode(x="reference:Q", y=y)
    value = base.mark_point(shape="circle", size=75, filled=True, color=ACCENT, opacity=1).encode(x="value:Q", y=y)
    return _svg(_sized(alt.layer(between, reference, value), len(rows)), title)


def curve_chart(rows: Sequence[Row], *, title: str, x_axis: str, y_axis: str, baseline: float) -> str:
    """A curve through points with their 95% bounds, and a dashed line at the baseline.

    Args:
        rows: `x`, `estimate`, `low`, `high`, ascending in x.
        title: read out by screen readers.
        x_axis: what x is.
        y_axis: what the numbers are.
        baseline: the value everything is compared with.
    """
    base = alt.Chart(_data(rows))
    x = alt.X("x:Q", title=x_axis, axis=alt.Axis(tickCount=5))
    scale = alt.Scale(zero=False, nice=True)
    line = base.mark_line(color=ACCENT, strokeWidth=2).encode(x=x, y=alt.Y("estimate:Q", title=y_axis, scale=scale))
    reach = base.mark_rule(color=ACCENT, strokeWidth=2).encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q")
    point = base.mark_point(size=60, filled=True, opacity=1, color=ACCENT).encode(
        x=x, y=alt.Y("estimate:Q", scale=scale)
    )
    level = alt.Chart(_data([{"y": baseline}])).mark_rule(color=MUTED, strokeDash=[3, 3]).encode(y=alt.Y("y:Q"))
    return _svg(alt.layer(level, reach, line, point).properties(width=PLOT_WIDTH + 110, height=PLOT_WIDTH - 25), title)


def lengths_chart(rows: Sequence[Row], *, title: str, axis: str) -> str:
    """Horizontal bars of `value` by `label`, in the order given."""
    chart = (
        alt.Chart(_data(rows))
        .mark_bar(color=ACCENT, height={"band": 0.6})
        .encode(x=alt.X("value:Q", title=axis), y=_rows_axis(rows))
    )
    return _svg(_sized(chart, len(rows)), title)


def distribution_chart(bars: Sequence[Row], *, title: str, numeric: bool) -> str:
    """A small chart of one column: a histogram over its public range, or bars of its levels' shares."""
    if numeric:
        values = [{"from": b["from"], "to": b["to"], "share": b["share"]} for b in bars]
        x = alt.X("from:Q", bin="binned", title=None, axis=_sparse_axis(bars))
        encoded = alt.Chart(_data(values)).mark_bar(color=ACCENT, binSpacing=0.5)
        chart = encoded.encode(x=x, x2="to:Q", y=_share_axis("y")).properties(width=SMALL_WIDTH, height=116)
    else:
        values = [{"label": b["label"], "share": b["share"]} for b in bars]
        order = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=96, ticks=False))
        encoded = alt.Chart(_data(values)).mark_bar(color=ACCENT)
        chart = encoded.encode(y=order, x=_share_axis("x")).properties(width=SMALL_WIDTH, height=34 + 15 * len(bars))
    return _svg(chart.properties(autosize=alt.AutoSizeParams(type="fit", contains="padding")), title)


def points_chart(rows: Sequence[Row], *, title: str) -> str:
    """A map of points: `x`, `y` and `table`; synthetic rows as circles over open diamonds (train), triangles (control).

    For the internal report alone: a point of train or control is a person's row.
    """
    tables = ["train", "control", "synthetic"]
    place = alt.Axis(labels=False, ticks=False, grid=False, title=None, domain=False)
    scale = alt.Scale(domain=tables, range=["diamond", "triangle-up", "circle"])
    colour = alt.Scale(domain=tables, range=[MUTED, WARN, ACCENT])
    legend = alt.Legend(title=None, orient="top", labelColor=INK, labelFont=FONT, symbolOpacity=1)
    chart = (
        alt.Chart(_data(rows))
        .mark_point(size=14, opacity=0.7, strokeWidth=1)
        .encode(
            x=alt.X("x:Q", axis=place, scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", axis=place, scale=alt.Scale(zero=False)),
            shape=alt.Shape("table:N", scale=scale, legend=legend),
            color=alt.Color("table:N", scale=colour, legend=legend),
        )
    )
    return _svg(chart.properties(width=PLOT_WIDTH + 165, height=PLOT_WIDTH + 165), title)


def _data(rows: Sequence[Row]) -> Any:
    return alt.InlineData(values=[dict(row) for row in rows])


def _rows_axis(rows: Sequence[Row]) -> alt.Y:
    labels = [row["label"] for row in rows]
    return alt.Y("label:N", sort=labels, title=None, axis=alt.Axis(labelLimit=165, ticks=False, domain=False))


def _share_axis(channel: Literal["x", "y"]) -> Any:
    axis = alt.Axis(format="%", tickCount=3)
    return alt.X("share:Q", title=None, axis=axis) if channel == "x" else alt.Y("share:Q", title=None, axis=axis)


def _sparse_axis(bars: Sequence[Row]) -> alt.Axis:
    """Labels at both ends and in the middle, as the schema writes them: dates included."""
    if not bars:
        return alt.Axis()
    shown = {bars[i]["from"]: _short(bars[i]["label"]) for i in {0, len(bars) // 2, len(bars) - 1}}
    words = "".join(f"datum.value <= {value!r} ? {_quoted(label)} : " for value, label in sorted(shown.items()))
    return alt.Axis(values=sorted(shown), labelExpr=f"{words}''", labelAlign="center", labelFlush=True)


def _short(label: str) -> str:
    try:
        return f"{float(label):.6g}"
    except ValueError:
        return label


def _quoted(label: str) -> str:
    return "'" + re.sub(r"[^\w .:+-]", "", label) + "'"


def _finite(value: Any, fallback: float) -> float:
    """A bound that can be drawn; one that is infinite is drawn at the estimate."""
    drawable = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if drawable else float(fallback)


def _sized(chart: Any, n_rows: int) -> Any:
    return chart.properties(width=PLOT_WIDTH, height=max(n_rows, 1) * ROW_HEIGHT)


def _svg(chart: Any, title: str) -> str:
    """The chart as an SVG fragment: a name for screen readers, a view box instead of a size, and no namespace."""
    text = {"labelColor": MUTED, "titleColor": MUTED, "labelFont": FONT, "titleFont": FONT}
    spec = (
        chart.configure(background="transparent", aria=False, font=FONT, padding=PADDING)
        .configure_axis(
            **text, labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor=GRID, domainColor=GRID,
            tickColor=GRID, labelPadding=5,
        )
        .configure_axisY(labelColor=INK)
        .configure_view(stroke=None)
        .to_dict()
    )  # fmt: skip
    drawn = vl_convert.vegalite_to_svg(spec)
    drawn = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1\.1"| class="[^"]*"| pointer-events="none"', "", drawn)
    drawn = re.sub(r' (role|aria-[a-z]+)="[^"]*"', "", drawn)
    drawn = re.sub(r'<path d="(M0,0h0v0h0Z)?"( display="none")?/>', "", drawn)
    drawn = re.sub(
        r'<svg width="([\d.]+)" height="([\d.]+)"', r'<svg style="max-width:calc(\1px * 1.45)"', drawn, count=1
    )
    name = html.escape(title, quote=True)
    return drawn.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)
