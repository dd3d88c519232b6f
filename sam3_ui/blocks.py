"""The page's layout: one `gr.HTML` that fills the window, and how it is mounted.

The workspace is plain ES modules and style sheets in `canvas/`, served as static files; it speaks
to the service over REST and WebSocket like any other client. Nothing here holds a session.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

CANVAS_DIR = Path(__file__).parent / "canvas"
"""The folder to serve at `/canvas/`."""

TITLE = "SAM3 UI"


def _read(name: str) -> str:
    return (CANVAS_DIR / name).read_text("utf-8")


def build() -> gr.Blocks:
    """The page. Mount it with `gr.mount_gradio_app(app, build(), path="/", **mount_options())`."""
    page = gr.Blocks(
        title=TITLE,
        fill_width=True,
        fill_height=True,
        analytics_enabled=False,
        # Gradio's own copies of what came and went through its API: looked at hourly, kept for a day.
        delete_cache=(3600, 86400),
    )
    with page:
        gr.HTML(
            html_template=_read("workspace.html"),
            js_on_load=_read("load.js"),
            apply_default_css=False,
            elem_id="workspace",
        )
    return page


def mount_options() -> dict[str, Any]:
    """The arguments of `gr.mount_gradio_app` that belong to the page's look."""
    return {
        "theme": gr.themes.Base(),
        "css": _read("chrome.css"),
        "head": _read("head.html"),
        "run_history": False,
    }
