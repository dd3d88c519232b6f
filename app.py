"""SAM3 UI: settings, service, API and page, served by uvicorn on one port."""

from __future__ import annotations

import os

# Before Gradio is imported: it must never call home.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def main() -> None:
    """Serve until interrupted."""
    # Imported here, since every worker process imports this file again.
    from sam3_ui.server import serve

    serve()


if __name__ == "__main__":
    main()
