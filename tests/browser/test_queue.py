"""The queue of grids and saves in a real browser: what is asked for while something runs waits its turn."""

from __future__ import annotations

from pathlib import Path

from lib_merge.architectures import read_header
from lib_merge.recipe import RECIPE_KEY
from tests.browser.driver import DRAWN, Desk, expect


def save_as(desk: Desk, name: str) -> None:
    desk.page.locator("#merge_desk_name :is(textarea, input)").fill(name)
    desk.page.locator("#merge_desk_mix_save").click()


def start_a_grid(desk: Desk) -> None:
    for field in ("width", "height"):
        desk.fill(field, "64")
    desk.show("grid")
    desk.page.locator("[data-axis=x]").fill("OUT05")
    desk.page.locator("[data-values=x]").fill("0-1 [6]")
    desk.page.locator("[data-axis=y]").fill("seed")
    desk.page.locator("[data-values=y]").fill("1-6")
    expect(desk.part("grid-plan")).to_contain_text("36 cells")
    desk.act("grid-start").click()
    expect(desk.part("grid-status")).to_contain_text("of 36 cells")


def test_a_save_waits_behind_a_grid_is_removed_and_put_back_and_is_written_after_a_reload(
    desk: Desk, models: Path
) -> None:
    desk.begin("ink", "pastel")
    start_a_grid(desk)
    desk.show("mix")
    desk.drag("ALL", 0.5)
    asked_with = desk.at("ALL")
    desk.page.locator("#merge_desk_saving :is(button, .label-wrap)").first.click()
    save_as(desk, "first")
    queue = desk.part("save-queue")
    expect(queue).to_contain_text("Save first.safetensors: ink + pastel")
    desk.drag("ALL", 0.9)
    save_as(desk, "second")
    expect(queue.locator("li")).to_have_count(2)
    save_as(desk, "first")
    expect(desk.part("fact-sheet").get_by_role("alert")).to_contain_text("in the queue already")

    desk.act("queue-remove").first.click()
    expect(queue).to_contain_text("Removed: Save first.safetensors")
    expect(queue.locator("li")).to_have_count(1)
    desk.act("queue-undo").click()
    expect(queue.locator("li").first).to_contain_text("first.safetensors")
    desk.show("grid")
    expect(desk.part("grid-queue").locator("li")).to_have_count(2)

    desk.open_again()
    desk.page.wait_for_selector("[data-slot=IN05]")
    expect(queue.locator("li")).to_have_count(2)
    desk.show("grid")
    desk.act("grid-stop").click()
    desk.act("grid-next").click(timeout=DRAWN)  # after Stop the queue waits for the user
    desk.show("mix")
    results = desk.part("fact-sheet")
    expect(results).to_contain_text("Saved: second.safetensors", timeout=DRAWN)
    expect(results).to_contain_text("Saved: first.safetensors")
    expect(queue).to_be_empty()
    recipe = read_header(models.parent / "output" / "first.safetensors").metadata[RECIPE_KEY]
    assert f"OUT05: {asked_with:g}," in recipe
    desk.choose("b", "second")
    for left in (1, 0):
        desk.act("save-close").locator("visible=true").first.click()
        expect(results.locator("details.md-saved")).to_have_count(left)
    desk.open_again()
    expect(desk.part("status")).to_contain_text("Loaded: ")
    expect(results).to_be_empty()
    assert desk.complaints == []
