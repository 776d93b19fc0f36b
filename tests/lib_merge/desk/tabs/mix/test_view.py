"""What the tab Mix shows: the layout of the faders, lists of numbers, and sentences."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from typing import Any

import pytest

from lib_merge.architectures import FAMILIES, family_by_id
from lib_merge.desk.common import fader_layout, payload, problem_of, to_json
from lib_merge.desk.lists.view import method_view, number_layouts
from lib_merge.desk.selection import desk_methods, resting_amount
from lib_merge.desk.status import changed_line, memory_line
from lib_merge.errors import MergeError, PlanError, StoppedError
from lib_merge.live import MergeIdent, SwapReport
from lib_merge.methods import METHODS
from lib_merge.service.merging import Status

SD1, SDXL = family_by_id("sd1"), family_by_id("sdxl")


def test_skip_partners_stand_on_one_row() -> None:
    board = fader_layout(SD1)
    rows = list(zip(board.left, board.right, strict=True))
    assert (rows[0], rows[-1]) == (("IN00", "OUT11"), ("IN11", "OUT00"))
    assert (board.above, board.middle, board.outside) == (("BASE",), ("M00",), ("TIME", "OUT", "VAE"))


def test_sdxl_has_both_text_encoders_above_and_its_label_beside() -> None:
    board = fader_layout(SDXL)
    assert board.above == ("CLIP_L", "CLIP_G")
    assert board.left[-1], board.right[-1] == ("IN08", "OUT00")
    assert "LABEL" in board.outside


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_every_slot_of_every_family_has_exactly_one_fader(family: Any) -> None:
    board = fader_layout(family)
    placed = [*board.above, *board.left, *board.middle, *board.right, *board.outside]
    assert sorted(placed) == sorted(slot.id for slot in family.slots)


def test_lists_are_read_as_the_library_reads_them() -> None:
    spread = number_layouts(SD1)[0].positions
    assert list(spread) == ["25", "26"]
    assert (spread["26"]["BASE"], spread["26"]["IN00"], spread["26"]["OUT11"]) == (0, 1, 25)
    assert (spread["26"]["TIME"], spread["26"]["OUT"], spread["26"]["VAE"]) == (1, 25, -2)
    assert (spread["25"]["BASE"], spread["25"]["IN00"]) == (-1, 0)


def test_sdxl_takes_lists_of_20_and_19_and_those_of_sd1() -> None:
    spread = number_layouts(SDXL)[0].positions
    assert list(spread) == ["19", "20", "25", "26"]
    assert spread["20"]["CLIP_L"] == spread["20"]["CLIP_G"] == 0


def test_every_parameter_of_a_desk_method_is_drawn_once() -> None:
    for method in desk_methods():
        view = method_view(method)
        assert sorted(k.name for k in (*view.faders, *view.scalars)) == sorted(
            p.name for p in method.parameters if not p.per_model
        )


def test_the_page_gets_the_amount_of_each_method_that_keeps_a() -> None:
    neutral = {method.id: method_view(method).neutral for method in desk_methods()}
    assert neutral["weighted_sum"] == {"alpha": 0}
    assert neutral["self"] == {"alpha": 1}
    assert neutral["sum_twice"] == {"alpha": 0, "beta": 0}
    assert neutral["tensor_sum"] == {"alpha": 0}, "whatever beta is"
    assert neutral["rotate"] is None, "A is turned as long as alignment is not 0"
    assert resting_amount(METHODS.get("self"), "alpha") == 1
    assert resting_amount(METHODS.get("similarity_add_difference"), "beta") == 0.5, "its default"


def test_methods_that_need_a_share_for_each_model_are_not_on_the_desk() -> None:
    assert METHODS.get("weighted_models") not in desk_methods()
    assert METHODS.get("ties") in desk_methods(), "its shares are alike unless they are given"
    assert METHODS.get("weighted_sum") == desk_methods()[0]


IDENT = MergeIdent("ink + pastel (unsaved)", "merge-12345678", "")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (Status("", None, None, ""), "No checkpoint is loaded yet."),
        (Status("ink", None, None, ""), "Loaded: ink (original)."),
        (
            Status(
                "ink",
                IDENT,
                SwapReport(ident=IDENT, slots=("OUT05",), keys=9, nbytes=100, seconds=0.0234),
                "",
            ),
            "Loaded: ink + pastel (unsaved). 1 block changed in 23 ms.",
        ),
        (
            Status("ink", IDENT, SwapReport(ident=IDENT, slots=(), keys=0, nbytes=0, seconds=1.26), ""),
            "Loaded: ink + pastel (unsaved).",
        ),
        (
            Status(
                "ink", IDENT, SwapReport(ident=IDENT, slots=(), keys=0, nbytes=0, seconds=1, equal=True), ""
            ),
            "Loaded: ink + pastel (unsaved), which equals ink: nothing is mixed in.",
        ),
        (
            Status("ink", None, None, "the U-Net is another"),
            "No merge can be loaded now: the U-Net is another.",
        ),
    ],
)
def test_the_status_is_one_plain_line(status: Status, line: str) -> None:
    assert memory_line(status) == line


def test_a_swap_that_changed_nothing_is_reported_where_somebody_asked_for_it() -> None:
    assert (
        changed_line(
            Status("ink", IDENT, SwapReport(ident=IDENT, slots=(), keys=0, nbytes=0, seconds=1.26), "")
        )
        == "Nothing changed in 1.3 s."
    )
    assert changed_line(Status("ink", None, None, "")) == ""


def test_an_error_is_a_headline_a_place_and_a_way_out() -> None:
    problem = problem_of(MergeError("the file is gone", where="ink", hint="refresh the list"))
    assert (problem.what, problem.where, problem.hint) == ("The file is gone", "ink", "refresh the list")


def test_a_headline_that_begins_with_a_name_keeps_its_letters() -> None:
    assert problem_of(MergeError("ink.safetensors is gone")).what == "ink.safetensors is gone"


def test_several_problems_are_listed_together() -> None:
    problem = problem_of(PlanError([MergeError("one", hint="do this"), MergeError("two", where="there")]))
    assert problem.what == "2 problems prevent this merge"
    assert problem.more == ("one (try: do this)", "two (there)")


def test_a_stop_is_no_error() -> None:
    assert problem_of(StoppedError("stopped")).calm


def test_a_defect_of_ours_is_reported_without_a_traceback() -> None:
    problem = problem_of(KeyError("x"))
    assert "Internal error" in problem.what
    assert problem.where == "KeyError: 'x'"


def test_no_number_that_json_lacks_reaches_the_page() -> None:
    odd = {"x": math.nan, "y": [1.5, -math.inf], "z": ({"OUT05": math.inf},), "n": 2, "s": "NaN"}
    plain = json.loads(to_json(odd), parse_constant=pytest.fail)
    assert plain == {"x": None, "y": [1.5, None], "z": [{"OUT05": None}], "n": 2, "s": "NaN"}


def test_a_payload_brings_any_text_to_the_page_unharmed() -> None:
    value = {"text": "</div><script>\"'&${x}{{y}}\n日本"}
    elements: list[dict[str, str | None]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            elements.append(dict(attrs))

    Reader().feed(payload(value))
    assert [json.loads(str(attributes["data-merge-desk"])) for attributes in elements] == [value]
