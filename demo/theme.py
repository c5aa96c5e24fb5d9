"""How the page looks: system colours of one accent, a font that Gradio brings along, and our style sheet.

``page.css`` uses Gradio's own variables, so light and dark follow the visitor.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr

COMPONENTS = Path(__file__).parent / "components"
CSS = COMPONENTS / "page.css"

# Colour-blind safe (Paul Tol's muted scheme, its darkest and lightest moved to be seen on light and dark ground).
CLASS_COLOURS = (
    "#4053d3", "#ddb310", "#b51d14", "#00a5c4", "#fb49b0", "#00b25d", "#8f8f8f", "#a86bd1", "#d2691e", "#5c7d2b",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """Weights 400 and 700 only: the bundled 600 lacks the Latin letters."""
    text = gr.themes.LocalFont("Source Sans Pro", weights=(400, 700))
    mono = gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700))
    return gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        font=[text, "system-ui", "sans-serif"],
        font_mono=[mono, "ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
    )


def read(name: str) -> str:
    """A file of ``demo/components``."""
    return (COMPONENTS / name).read_text(encoding="utf-8")
