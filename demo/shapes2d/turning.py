"""The plot of the tab: one picture turned through the circle."""

from __future__ import annotations

import math

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from affinevae.explore import Sweep

OURS, PLAIN, QUIET = "#6366f1", "#d97706", "#7b8494"  # readable on light and on dark ground


def turning(ours: Sweep, plain: Sweep | None) -> go.Figure:
    """Above: how far the shape code moved. Below: how far the inferred angle followed."""
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.16, row_heights=[0.55, 0.45])
    angle = [math.degrees(a) for a in ours.turned.tolist()]
    if plain is not None:
        figure.add_trace(_line(angle, plain.drift.tolist(), "plain VAE", PLAIN), 1, 1)
    figure.add_trace(_line(angle, ours.drift.tolist(), "affine VAE", OURS), 1, 1)
    followed = [math.degrees(a) for a in ours.pose.tolist()]
    figure.add_trace(_line(angle, followed, "affine VAE", OURS, legend=False), 2, 1)
    figure.add_trace(_line(angle, angle, "the turn given", QUIET, "dot"), 2, 1)
    ticks = list(range(0, 361, 90))
    figure.update_xaxes(
        tickvals=ticks, ticktext=[f"{t}°" for t in ticks], range=[0, 360], showgrid=False, zeroline=False
    )
    figure.update_yaxes(gridcolor="rgba(123,132,148,.25)", zeroline=False, rangemode="tozero", nticks=4)
    figure.update_yaxes(ticksuffix="°", row=2)
    top = max([1.0, *(ours.drift.tolist()), *([] if plain is None else plain.drift.tolist())])
    figure.update_yaxes(range=[-0.03, 1.08 * top], row=1)
    for row, text in (
        (1, "Shape: how far its code moved (1 = another shape)"),
        (2, "Orientation: how far the angle followed"),
    ):
        figure.add_annotation(
            text=text, x=0, y=1.02, xref="x domain", yref="y domain", xanchor="left", yanchor="bottom",
            showarrow=False, row=row, col=1,
        )  # fmt: skip
    figure.update_layout(
        height=360,
        margin={"l": 44, "r": 10, "t": 24, "b": 52},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "Source Sans Pro, sans-serif", "size": 13},
        legend={"orientation": "h", "y": -0.12, "x": 0},
        hovermode="x unified",
        dragmode=False,
    )
    return figure


def _line(
    x: list[float], y: list[float], name: str, colour: str, dash: str = "solid", legend: bool = True
) -> go.Scatter:
    line = {"color": colour, "width": 2.5, "dash": dash}
    return go.Scatter(x=x, y=y, name=name, line=line, showlegend=legend, hovertemplate="%{y:.2f}")
