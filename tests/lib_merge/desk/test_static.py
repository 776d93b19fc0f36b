"""The page's scripts and style: each tab's style is next to its script, and style.css is made of them."""

from __future__ import annotations

import pytest

from lib_merge.desk import static
from lib_merge.desk.tab import Tab
from lib_merge.desk.table import TABS, endpoints

MAX_LINES = 400


def test_the_style_sheet_is_what_its_parts_give() -> None:
    assert static.style().read_text(encoding="utf-8") == static.assembled_style(), (
        "run: python3 start.py docs"
    )


def test_what_all_tabs_share_comes_first() -> None:
    assert static.style_parts()[0].name == "page.css"


@pytest.mark.parametrize("tab", TABS, ids=lambda tab: tab.name)
def test_every_tab_has_a_script_and_a_style_next_to_it(tab: Tab) -> None:
    assert f"view_{tab.name}.js" in {path.name for path in static.scripts()}
    parts = [path for path in static.style_parts() if path.stem.startswith(f"view_{tab.name}")]
    assert parts
    mounts = (
        ("faders", "preview", "stage", "strip", "pictures", "hints") if tab.name == "mix" else (tab.name,)
    )
    for path in parts:
        text = path.read_text(encoding="utf-8")
        scopes = [*(f".merge-desk-{mount}" for mount in mounts), f"#merge_desk_{tab.name}_"]
        assert any(scope in text for scope in scopes), path.name


def test_no_script_and_no_part_of_the_style_is_too_long_to_read() -> None:
    lengths = {
        path.name: len(path.read_text(encoding="utf-8").splitlines())
        for path in (*static.scripts(), *static.style_parts())
    }
    assert {name: count for name, count in lengths.items() if count > MAX_LINES} == {}


def test_every_endpoint_that_a_script_asks_is_written_out_in_one() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in static.scripts())
    assert [endpoint.name for endpoint in endpoints() if f'"{endpoint.name}"' not in text] == []
