"""A pasted or dropped recipe sets the faders of the desk, or is kept as a recipe where it has none."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_merge.checkpoint import hash_file
from lib_merge.desk.selection import Selection, merge_request
from lib_merge.desk.tabs.history.paste import PageSetup, read_pasted
from lib_merge.errors import MergeError
from lib_merge.hosts.pictures import png_text
from lib_merge.hosts.standalone import StandaloneHost
from lib_merge.recipe import RECIPE_KEY, infotext_entry, parse_recipe, recipe_from_text
from lib_merge.service.merging import MergeService
from tests.lib_merge.service.test_merging import MemoryHost
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny
from tests.support.swaps import asked, swap_in

pytestmark = pytest.mark.newest_only

ONE = "ink x 0.75 + pastel x 0.25 = M"
CHAIN = "ink + pastel = M\nM x 0.5 + base x 0.5 = N"


@pytest.fixture
def service(tmp_path: Path) -> MergeService:
    (tmp_path / "models").mkdir()
    for name in ("ink", "pastel", "base"):
        write_tiny(tmp_path / "models" / f"{name}.safetensors", seed=ord(name[0]))
    host: StandaloneHost = MemoryHost([tmp_path / "models"], output=tmp_path / "out", data=tmp_path / "data")
    return MergeService(host)


def ask(service: MergeService, verb: str, **data: object) -> Any:
    return DeskPage(service).data(f"history.{verb}", **data)


def picture(recipe: str) -> str:
    stream = BytesIO()
    chunk = png_text(f"a red circle\nSteps: 1, {infotext_entry(recipe)}, Version: 1")
    Image.new("RGB", (8, 8)).save(stream, format="PNG", pnginfo=chunk)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def test_a_sum_sets_lists_and_faders(service: MergeService) -> None:
    setup = read_pasted(service, ONE + "\nsave M, dtype = fp16, vae = b")
    assert setup.lists == {"a": "ink", "b": "pastel", "method": "Weighted sum", "vae": "B's", "dtype": "fp16"}
    assert set(setup.amounts["alpha"].values()) == {0.25}
    assert (setup.amounts["alpha"]["IN00"], setup.why) == (0.25, "")


def test_numbers_and_presets_become_an_amount_for_every_slot(service: MergeService) -> None:
    setup = read_pasted(service, f"ink + pastel = M, alpha = {','.join(str(n / 25) for n in range(26))}")
    amounts = setup.amounts["alpha"]
    assert (amounts["BASE"], amounts["IN00"], amounts["OUT11"]) == (0, 0.04, 1)
    assert read_pasted(service, "ink + pastel x GRAD_V = M").amounts["alpha"]["M00"] == pytest.approx(
        0, abs=0.1
    )


@pytest.mark.parametrize("kind", ["recipe", "infotext", "picture", "file"])
def test_every_source_of_a_recipe_leads_to_the_same_settings(service: MergeService, kind: str) -> None:
    wanted = read_pasted(service, ONE)
    saved = service.save(asked({"recipe": ONE}), "mine")
    text = saved.plan.metadata[RECIPE_KEY]
    assert "sha256" in text
    setups: dict[str, PageSetup] = {
        "recipe": read_pasted(service, text),
        "infotext": read_pasted(service, f"a red circle\nSteps: 1, {infotext_entry(text)}"),
        "picture": read_pasted(service, "", picture(text), "drawn.png"),
        "file": read_pasted(service, "mine"),
    }
    assert (setups[kind].lists, setups[kind].amounts) == (wanted.lists, wanted.amounts)


def test_models_are_found_by_hash_under_other_names_and_that_is_said(
    service: MergeService, tmp_path: Path
) -> None:
    text = service.save(asked({"recipe": ONE}), "mine").plan.metadata[RECIPE_KEY]
    old = tmp_path / "models" / "pastel.safetensors"
    old.rename(old.with_name("renamed.safetensors"))
    service.host.checkpoints(refresh=True)
    setup = read_pasted(service, text)
    assert setup.lists["b"] == "renamed"
    assert setup.notes == ("'pastel.safetensors' is here called 'renamed.safetensors'",)


def test_what_has_no_faders_is_named_and_can_be_swapped_in_and_saved(service: MergeService) -> None:
    setup = ask(service, "paste", text=CHAIN)
    assert (setup.lists, setup.why) == ({}, "it has 2 steps, and the sliders show one")
    assert service.status().live is None
    swap_in(
        service, {"method": "weighted_sum", "a": "ink", "b": "pastel"}
    )  # what is swapped in before matters not
    done = ask(service, "apply", text=setup.recipe)
    assert done.done.startswith("Loaded: ")
    page = DeskPage(service)
    saved = page.saved(action="history.save", text=setup.recipe, name="chain")
    assert dict(saved.data.sheet)["File"] == "chain.safetensors"
    assert {entry.kind for entry in page.data("history.list").entries} == {"applied", "saved"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('M = dare(ink, pastel, density = rules["attn1: 0.3"])', "'density' has different values"),
        ("M = ties(ink, pastel, model_weights = [0.4])", "'model_weights' has different values"),
        ("ink + pastel = M\nsave M, vae = none", "it leaves the VAE out"),
        ("ink + pastel = M\nsave M, text_encoder = b", "it sets save options that the lists do not show"),
        (
            "M = weighted_models(ink, pastel, shares = [0.4, 0.6])",
            "the page has no sliders for",
        ),
    ],
)
def test_why_a_recipe_has_no_faders_is_said(service: MergeService, text: str, why: str) -> None:
    assert why in read_pasted(service, text).why


def test_rules_and_adjust_come_back_into_the_tab_weights(service: MergeService) -> None:
    text = (
        'merge-desk recipe 2\nA = "ink.safetensors"\nB = "pastel.safetensors"\n'
        'M = weighted_sum(A, B, alpha = rules["*: 0.5", "attn2.to_k: 0.2", "exclude OUT"])\n'
        "N = adjust(M, brightness = -1, contrast = 2)\nsave N, vae = a\n"
    )
    setup = read_pasted(service, text)
    assert setup.why == ""
    assert setup.extras == {
        "weights": "*: 0.5\nattn2.to_k: 0.2\nexclude OUT",
        "adjust": "0, 0, 0, 2, -1, 0, 0, 0",
    }
    assert set(setup.amounts["alpha"].values()) == {0.0}
    choice = Selection(**{word: setup.lists[word] for word in ("a", "b", "method", "vae", "dtype")})
    request = merge_request(service, choice, {**setup.amounts, **setup.scalars, **setup.extras})
    again, first = service.plan(request), service.plan(asked({"recipe": text}))
    assert [entry.expression for entry in again.keys] == [entry.expression for entry in first.keys]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "there is nothing to read"),
        ("ink + nobody = M", "there is no 'nobody'"),
        ("masterpiece", "this is not a recipe"),
        ("a cat\nSteps: 20, Sampler: Euler a, Seed: 5, Size: 512x512", "this infotext carries no recipe"),
        ("pastel", "this checkpoint carries no recipe"),
    ],
)
def test_what_is_not_understood_is_said_and_changes_nothing(
    service: MergeService, text: str, what: str
) -> None:
    problem = DeskPage(service).problem("history.paste", text=text)
    assert what in problem.what.lower() or what in problem.what
    assert service.status().live is None


def test_a_picture_that_is_none_is_refused_by_its_name(service: MergeService) -> None:
    with pytest.raises(MergeError) as caught:
        read_pasted(service, "", "data:image/png;base64,aGFsbG8=", "hallo.png")
    assert caught.value.where == "hallo.png"


def test_every_applied_and_saved_merge_is_in_the_history_and_restored_from_it(service: MergeService) -> None:
    body = {"method": "weighted_sum", "a": "ink", "b": "pastel", "alpha": {"OUT05": 0.5, "*": 0.25}}
    swap_in(service, body)
    service.save(asked(body), "mine")
    entries = ask(service, "list").entries
    assert [entry.kind for entry in entries] == ["saved", "applied"]
    assert entries[0].file == "mine.safetensors"
    alpha = ask(service, "load", id=entries[1].id).amounts["alpha"]
    assert (alpha["OUT05"], alpha["IN00"]) == (0.5, 0.25)
    ask(service, "star", id=entries[0].id, star=True)
    assert [entry.id for entry in ask(service, "list", starred=True).entries] == [entries[0].id]


def test_a_saved_file_and_later_pictures_carry_the_hashes_of_their_files(
    service: MergeService, tmp_path: Path
) -> None:
    body = {"method": "weighted_sum", "a": "ink", "b": "pastel"}
    thread = None
    swap_in(service, body)
    thread = service.hash_cache.compute_in_background([tmp_path / "models" / "ink.safetensors"])
    if thread is not None:
        thread.join()
    service.save(asked(body), "mine")
    swap_in(service, body)
    live = service.status().live
    assert live is not None
    recipe_in_memory = parse_recipe(live.recipe)
    assert recipe_in_memory.ingredients[0].sha256 == hash_file(tmp_path / "models" / "ink.safetensors").sha256
    assert recipe_in_memory == recipe_from_text(live.recipe)


def test_a_history_that_cannot_be_written_stops_no_merge(service: MergeService) -> None:
    service.history.path.mkdir(parents=True)
    assert swap_in(service, {"method": "weighted_sum", "a": "ink", "b": "pastel"}).keys
