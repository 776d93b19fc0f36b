"""What pyproject.toml has no words for: the page's files in the wheel.

A WebUI reads style.css and javascript/ at the top of an extension's folder, so that is where they are kept;
an installed lib_merge reads copies of them in lib_merge/desk/static.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithPage(build_py):
    """build_py that copies the page's files too; an editable install reads them where they are kept."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        static = Path(self.build_lib, "lib_merge", "desk", "static")
        shutil.rmtree(static, ignore_errors=True)  # of a build before this one
        shutil.copytree(ROOT / "javascript", static / "javascript")
        shutil.copy(ROOT / "style.css", static)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        static = Path(self.build_lib, "lib_merge", "desk", "static")
        page = [str(path) for path in static.rglob("*") if path.is_file()]
        return [*super().get_outputs(include_bytecode), *page]


setup(cmdclass={"build_py": BuildWithPage})
