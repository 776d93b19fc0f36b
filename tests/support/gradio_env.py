"""Environments with the Gradio of a WebUI, made once under tests/.cache, to build the tab on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

# What AUTOMATIC1111 v1.10.1 (requirements_versions.txt) and Forge pin of what the tab touches; the rest is
# what these versions still work with.
PINS = {
    "3.41.2": (
        "gradio==3.41.2",
        "fastapi==0.94.0",
        "httpcore==0.15",
        "httpx==0.24.1",
        "numpy==1.26.2",
        "Pillow==9.5.0",
        "pydantic<2",
        "pandas<3",
        "matplotlib<3.9",
        "huggingface_hub<0.26",
        "safetensors==0.4.2",
    ),
    "4.40.0": (
        "gradio==4.40.0",
        "fastapi==0.104.1",
        "pydantic==2.8.2",
        "numpy<2",
        "pandas<3",
        "huggingface_hub<0.26",
        "safetensors>=0.4.2",
    ),
}
MOST_SECONDS = 280


def python_with_gradio(version: str, cache: Path) -> Path:
    """The interpreter of an environment with that Gradio; skips the test where it cannot be made."""
    place = cache / f"gradio-{version}-py{sys.version_info[0]}{sys.version_info[1]}"
    python, done = place / "bin" / "python", place / "done"
    with FileLock(f"{place}.lock"):  # another test process may be at it
        return python if done.exists() else _made(version, place)


def _made(version: str, place: Path) -> Path:
    python, done = place / "bin" / "python", place / "done"
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True, timeout=MOST_SECONDS)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINS[version]]
        subprocess.run(install, check=True, timeout=MOST_SECONDS, capture_output=True, text=True)
    except (OSError, subprocess.SubprocessError) as cause:
        pytest.skip(f"no environment with Gradio {version} can be made here: {type(cause).__name__}")
    done.touch()
    return python
