"""The door: builds the page and serves it. ``python app.py --help``; also the entry point of a Hugging Face Space."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence

# Before anything of Hugging Face is imported: the page works without a network and tells nobody.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted; on the loopback only, but on a Space. Exit code 2 if there is no free port."""
    parser = argparse.ArgumentParser(description="Serve the page.")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    usual = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    host = os.environ.get("GRADIO_SERVER_NAME", usual)
    parser.add_argument("--host", default=host, help="default: %(default)s")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's servers")
    sources = ("none", "hub", "all")
    parser.add_argument(
        "--open-models",
        choices=sources,
        default=os.environ.get("OPEN_MODELS") or None,
        help="what visitors may open besides the models in weights/: repositories of the Hub, or folders of this "
        "machine as well; default: all for who sits at it, where only the loopback is served, else none",
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="a function of your own, which is imported, that builds the network of models of yours",
    )
    args = parser.parse_args(arguments)
    if args.open_models not in (None, *sources):  # argparse looks at what is typed, not at the environment
        parser.error(f"OPEN_MODELS must be one of {', '.join(sources)}, not {args.open_models!r}")

    gc.disable()  # until the page is served: looking through a million objects that all stay takes a sixth of the start
    from classifiers import allow_network
    from demo.models.outside import policy_of
    from demo.server.serve import serve
    from demo.uploads.pictures import harden_pillow

    harden_pillow()
    try:
        for function in args.allow:
            allow_network(function)
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    try:
        serve(args.host, args.port, args.share, policy_of(args.open_models, args.host, args.share))
    except OSError:  # Gradio found no port
        taken = f"port {args.port} of {args.host} is taken: leave --port out to take the first free one"
        parser.exit(2, f"{taken if args.port else f'there is no free port from 7860 on {args.host}'}\n")
    sys.stdout.flush()
    # A model may still be at work in some thread, and torch aborts where the interpreter ends around it.
    os._exit(0)


if __name__ == "__main__":
    main()
