"""The desk as a page of its own: the same tab, with our script and style in the page's head."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.errors import ExtraError

if TYPE_CHECKING:
    from lib_merge.hosts.host import Host

ROOT = Path(__file__).parents[2]
PORT = 7865
BARE = "footer { display: none !important } .gradio-container { max-width: 1680px !important }"


def head() -> str:
    """Scripts and style, as they lie beside the package; scripts in the order in which a WebUI loads them."""
    scripts = sorted((ROOT / "javascript").glob("merge_desk*.js"))
    script = "\n".join(path.read_text(encoding="utf-8") for path in scripts)
    style = (ROOT / "style.css").read_text(encoding="utf-8")
    return f"<style>{style}{BARE}</style><script>{script}</script>"


def serve(host: Host, *, port: int = PORT, open_browser: bool = True, block: bool = True) -> Any:
    """Open the desk at http://127.0.0.1:PORT, for this machine alone; returns what Gradio's launch gives."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import lib_merge.desk.tab as tab
    except ImportError as cause:
        raise ExtraError(
            "the desk needs Gradio, which is not installed", hint="python3 start.py installs it"
        ) from cause
    from lib_merge.desk.mixer import Mixer

    page = tab.build(Mixer(host))
    return page.launch(
        server_name="127.0.0.1",
        server_port=port,
        inbrowser=open_browser,
        prevent_thread_lock=not block,
        quiet=True,
        head=head(),
        theme=tab.theme(),
    )
