"""The door: builds the page and serves it. ``python app.py --help``; also the entry point of a Hugging Face Space."""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Sequence

# Before anything of Hugging Face is imported: the page works without a network and tells nobody.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted; on the loopback only, but on a Space."""
    parser = argparse.ArgumentParser(description="Serve the page.")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    on_space = "SPACE_ID" in os.environ
    parser.add_argument("--host", default="0.0.0.0" if on_space else "127.0.0.1", help="default: %(default)s")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's servers")
    args = parser.parse_args(arguments)

    from demo.models import Models
    from demo.page import build, launch_options, warm
    from demo.uploads import harden_pillow

    harden_pillow()
    models = Models()
    threading.Thread(target=warm, args=(models,), daemon=True).start()
    build(models).launch(server_name=args.host, server_port=args.port, share=args.share, **launch_options())


if __name__ == "__main__":
    main()
