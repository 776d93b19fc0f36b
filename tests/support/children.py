"""What the processes that tests start have to be told first."""

from __future__ import annotations

import signal


def hear_ctrl_c() -> None:
    """For Popen's preexec_fn: a shell that starts a suite in the background makes all of it ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
