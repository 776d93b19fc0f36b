"""The lists above the tabs in a real browser: models, methods, aligning."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch

from tests.browser.driver import DRAWN, Desk, expect
from tests.support.full_size import write_tiny


def add_models(folder: Path) -> None:
    """One of another family and one with numbers that are none."""
    write_tiny(folder / "xl.safetensors", "sdxl")
    broken = safetensors.torch.load_file(folder / "ink.safetensors")
    broken["model.diffusion_model.output_blocks.5.0.in_layers.0.weight"][0] = float("nan")
    safetensors.torch.save_file(broken, folder / "broken.safetensors")


@pytest.fixture(scope="module")
def models(models: Path) -> Path:
    """The samples, and two that fit no other."""
    add_models(models)
    return models


def test_a_method_without_block_weights_disables_the_faders_and_says_why(desk: Desk) -> None:
    """F1: sliders that did nothing."""
    desk.begin()
    desk.drag("OUT05", 0.7)
    for title in ("TIES", "DARE", "Adjust", "Model stock"):
        desk.choose("method", title)
        expect(desk.part("no-block-weights")).to_contain_text(f"{title} has no block weights")
        for slot in ("ALL", "IN03", "OUT05"):
            expect(desk.fader(slot)).to_be_disabled()
            expect(desk.fader(slot)).to_have_attribute("aria-disabled", "true")
        assert desk.part("numbers").is_disabled()
    desk.choose("method", "Weighted sum")
    expect(desk.part("no-block-weights")).to_be_hidden()
    assert desk.at("OUT05") == pytest.approx(0.7, abs=0.02)  # nothing is lost
    assert desk.complaints == []


def test_sliders_of_a_method_that_scales_start_where_it_keeps_a(desk: Desk) -> None:
    desk.begin("base", "pastel", live=True)
    desk.choose("method", "Scale (self)")
    expect(desk.page.locator(".md-tips")).to_contain_text("1 keeps A")
    assert desk.text() == [1.0] * 26
    desk.fader("OUT05").press("ArrowLeft")
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    expect(desk.part("problem")).to_have_text("")
    desk.choose("method", "Rotate (Procrustes)")
    expect(desk.page.locator(".md-tips")).to_contain_text("No amount keeps A")
    expect(desk.page.locator("[data-slot=OUT05] [data-kind=solo]")).to_be_disabled()
    assert desk.complaints == []


def test_a_method_is_chosen_by_its_card(desk: Desk) -> None:
    desk.show("methods")
    expect(desk.page.locator("[data-method=weighted_models]")).to_be_disabled()
    desk.page.locator("[data-method=extract]").click()
    expect(desk.page.locator("#merge_desk_method input")).to_have_value("Extract")
    expect(desk.page.locator("[data-param=beta]")).to_be_visible()
    assert desk.complaints == []


def test_the_tick_aligns_b_to_a_and_says_what_moved(desk: Desk) -> None:
    desk.begin(a="base", b="other")
    desk.page.locator("#merge_desk_align input").check()
    note = desk.page.locator("#merge_desk_align_note")
    expect(note).to_contain_text("groups moved")
    expect(note).to_contain_text("LoRAs trained on B do not fit the result")
    desk.choose("b", "ink")
    expect(note).to_contain_text("already aligned")
    desk.page.locator("#merge_desk_align input").uncheck()
    expect(note).to_be_empty()
    assert desk.complaints == []


def test_a_method_with_three_models_asks_for_c_and_has_two_sets_of_faders(desk: Desk) -> None:
    desk.begin()
    desk.choose("method", "Triple sum")
    expect(desk.part("next-step")).to_contain_text("Choose C")
    desk.choose("c", "base")
    expect(desk.part("next-step")).to_be_hidden()
    desk.drag("IN00", 0.4)
    desk.page.locator("[data-param=beta]").click()
    assert desk.at("IN00") == 0
    desk.page.locator("[data-param=alpha]").click()
    assert desk.at("IN00") == pytest.approx(0.4, abs=0.02)


def test_swapping_a_and_b_swaps_the_lists(desk: Desk) -> None:
    desk.begin()
    desk.page.locator("#merge_desk_lists_swap").click()
    expect(desk.page.locator("#merge_desk_a input")).to_have_value("pastel")
    expect(desk.page.locator("#merge_desk_b input")).to_have_value("ink")


def test_a_b_with_nan_shows_no_marks_of_the_pair_before_and_says_where_it_is(desk: Desk) -> None:
    """F3: an exception, and the marks of another model."""
    desk.begin("base", "pastel")
    desk.choose("b", "broken")
    expect(desk.part("legend")).to_contain_text("NaN or infinity in A or B: OUT05")
    expect(desk.page.locator("[data-slot=OUT05].md-not-finite")).to_be_visible()
    expect(desk.page.locator("[data-slot=OUT05].md-marked")).to_have_count(0)
    expect(desk.page.locator("[data-slot=OUT04].md-marked")).to_be_visible()
    assert desk.complaints == []


def test_models_that_do_not_fit_are_refused_in_plain_words(desk: Desk) -> None:
    desk.choose("b", "xl")
    expect(desk.part("next-step")).to_be_hidden()
    problem = desk.part("problem").get_by_role("alert")
    expect(problem).to_contain_text("they cannot be merged")  # before any move
    desk.drag("OUT05", 0.5)
    expect(problem).to_contain_text("they cannot be merged")
    expect(problem).to_contain_text("choose models of one family")
    assert desk.at("OUT05") == pytest.approx(0.5, abs=0.02)  # nothing is lost


def test_a_file_that_vanished_is_named(desk: Desk, models: Path) -> None:
    gone = models / "going.safetensors"
    write_tiny(gone)
    desk.page.locator("#merge_desk_lists_refresh").click()
    desk.choose("b", "going")
    expect(desk.part("next-step")).to_be_hidden()
    gone.unlink()
    desk.drag("OUT05", 0.5)
    expect(desk.part("problem").get_by_role("alert")).to_contain_text("going")
    expect(desk.part("problem")).to_contain_text("refresh the list")


def test_a_method_is_picked_from_a_menu_with_a_search(desk: Desk) -> None:
    """What it needs, what it does and its drawing, by mouse and by keys; Escape leaves all as it is."""
    desk.act("method-menu").click()
    dialog = desk.page.locator("dialog.merge-desk-method-menu")
    expect(dialog.locator("[data-method=weighted_sum]")).to_contain_text("needs A, B; block weights")
    expect(dialog.locator("[data-method=weighted_sum] svg")).to_be_visible()
    expect(dialog.locator("[data-method=weighted_models]")).to_have_count(0)  # the list does not have it
    desk.page.keyboard.type("three models")
    desk.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(desk.page.locator("#merge_desk_method input")).to_have_value("Weighted sum")

    desk.act("method-menu").click()
    desk.page.keyboard.type("triple")
    expect(dialog.locator("[data-method]")).to_have_count(1)
    desk.page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(desk.page.locator("#merge_desk_method input")).to_have_value("Triple sum")
    desk.act("method-menu").click()
    expect(dialog.locator('[aria-pressed="true"]')).to_contain_text("Triple sum")
    dialog.locator("[data-method=weighted_sum]").click()
    expect(desk.page.locator("#merge_desk_method input")).to_have_value("Weighted sum")
