"""What is shown: where faders stand, how lists spread, and what is said."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from typing import Any

import pytest

from lib_merge.architectures import FAMILIES, family_by_id
from lib_merge.desk.mixer import Status
from lib_merge.desk.view import (
    board_of,
    carrier,
    desk_methods,
    method_view,
    problem_of,
    readings_of,
    status_line,
    to_json,
)
from lib_merge.errors import MergeError, PlanError, StoppedError
from lib_merge.live import MergeIdent, SwapReport
from lib_merge.methods import METHODS

SD1, SDXL = family_by_id("sd1"), family_by_id("sdxl")


def test_skip_partners_stand_on_one_row() -> None:
    board = board_of(SD1)
    rows = list(zip(board.left, board.right, strict=True))
    assert (rows[0], rows[-1]) == (("IN00", "OUT11"), ("IN11", "OUT00"))
    assert (board.above, board.middle, board.beside) == (("BASE",), ("M00",), ("TIME", "OUT", "VAE"))


def test_sdxl_has_both_text_encoders_above_and_its_label_beside() -> None:
    board = board_of(SDXL)
    assert board.above == ("CLIP_L", "CLIP_G")
    assert board.left[-1], board.right[-1] == ("IN08", "OUT00")
    assert "LABEL" in board.beside


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_every_slot_of_every_family_has_exactly_one_fader(family: Any) -> None:
    board = board_of(family)
    placed = [*board.above, *board.left, *board.middle, *board.right, *board.beside]
    assert sorted(placed) == sorted(slot.id for slot in family.slots)


def test_lists_are_read_as_the_library_reads_them() -> None:
    spread = readings_of(SD1)[0].spread
    assert list(spread) == ["25", "26"]
    assert (spread["26"]["BASE"], spread["26"]["IN00"], spread["26"]["OUT11"]) == (0, 1, 25)
    assert (spread["26"]["TIME"], spread["26"]["OUT"], spread["26"]["VAE"]) == (1, 25, -2)
    assert (spread["25"]["BASE"], spread["25"]["IN00"]) == (-1, 0)


def test_sdxl_takes_lists_of_20_and_19_and_those_of_sd1() -> None:
    spread = readings_of(SDXL)[0].spread
    assert list(spread) == ["19", "20", "25", "26"]
    assert spread["20"]["CLIP_L"] == spread["20"]["CLIP_G"] == 0


def test_every_parameter_of_a_desk_method_is_drawn_once() -> None:
    for method in desk_methods():
        view = method_view(method)
        assert sorted(k.name for k in (*view.faders, *view.knobs)) == sorted(
            p.name for p in method.parameters if not p.per_model
        )


def test_methods_that_need_a_share_for_each_model_are_not_on_the_desk() -> None:
    assert METHODS.get("weighted_models") not in desk_methods()
    assert METHODS.get("ties") in desk_methods(), "its shares are alike unless they are given"
    assert METHODS.get("weighted_sum") == desk_methods()[0]


IDENT = MergeIdent("ink + pastel (unsaved)", "merge-12345678", "")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (Status("", None, None, ""), "No checkpoint is loaded yet."),
        (Status("ink", None, None, ""), "ink is in memory, as its file is."),
        (
            Status("ink", IDENT, SwapReport(IDENT, ("OUT05",), 9, 100, 0.0234), ""),
            "ink + pastel (unsaved) is in memory, on top of ink. 1 block changed in 23 ms.",
        ),
        (
            Status("ink", IDENT, SwapReport(IDENT, (), 0, 0, 1.26), ""),
            "ink + pastel (unsaved) is in memory, on top of ink. Nothing changed in 1.3 s.",
        ),
        (
            Status("ink", None, None, "the U-Net is another"),
            "Nothing can be swapped in now: the U-Net is another.",
        ),
    ],
)
def test_the_status_is_one_plain_line(status: Status, line: str) -> None:
    assert status_line(status, "") == line


def test_nothing_changed_is_never_said_of_a_fader_that_a_rule_holds() -> None:
    held = "OUT05 is held at 0.9 by the rule OUT: 0.9."
    still = Status("ink", IDENT, SwapReport(IDENT, (), 0, 0, 0.05), "")
    moved = Status("ink", IDENT, SwapReport(IDENT, ("IN00",), 9, 100, 0.05), "")
    line = "ink + pastel (unsaved) is in memory, on top of ink."
    assert status_line(still, held) == f"{line} {held}"
    assert status_line(still) == line  # nor when it is asked for later
    assert status_line(moved, held) == f"{line} 1 block changed in 50 ms. {held}"


def test_an_error_is_a_headline_a_place_and_a_way_out() -> None:
    problem = problem_of(MergeError("the file is gone", where="ink", hint="refresh the list"))
    assert (problem.what, problem.where, problem.hint) == ("The file is gone", "ink", "refresh the list")


def test_a_headline_that_begins_with_a_name_keeps_its_letters() -> None:
    assert problem_of(MergeError("ink.safetensors is gone")).what == "ink.safetensors is gone"


def test_several_problems_are_listed_together() -> None:
    problem = problem_of(PlanError([MergeError("one", hint="do this"), MergeError("two", where="there")]))
    assert problem.what == "2 things stand in the way of this merge"
    assert problem.more == ("one (try: do this)", "two (there)")


def test_a_stop_is_no_error() -> None:
    assert problem_of(StoppedError("stopped")).calm


def test_a_defect_of_ours_is_told_without_a_traceback() -> None:
    problem = problem_of(KeyError("x"))
    assert "error of its own" in problem.what
    assert problem.where == "KeyError: 'x'"


def test_no_number_that_json_lacks_reaches_the_page() -> None:
    odd = {"x": math.nan, "y": [1.5, -math.inf], "z": ({"OUT05": math.inf},), "n": 2, "s": "NaN"}
    plain = json.loads(to_json(odd), parse_constant=pytest.fail)
    assert plain == {"x": None, "y": [1.5, None], "z": [{"OUT05": None}], "n": 2, "s": "NaN"}


def test_a_carrier_brings_any_text_to_the_page_unharmed() -> None:
    value = {"text": "</div><script>\"'&${x}{{y}}\n日本"}
    found: list[dict[str, str | None]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(dict(attrs))

    Reader().feed(carrier(value))
    assert [json.loads(str(each["data-merge-desk"])) for each in found] == [value]
