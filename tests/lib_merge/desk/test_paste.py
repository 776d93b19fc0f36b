"""What is pasted or dropped sets the desk up: faders where it has them, the recipe as it is where not."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from lib_merge.checkpoint import hash_file
from lib_merge.desk.handlers import Choice, Desk
from lib_merge.desk.history_view import Memory
from lib_merge.desk.mixer import Mixer
from lib_merge.desk.paste import Setup, read_pasted
from lib_merge.errors import MergeError
from lib_merge.hosts.pictures import png_facts
from lib_merge.hosts.standalone import StandaloneHost
from lib_merge.recipe import RECIPE_KEY, in_infotext, parse_recipe, recipe_of
from tests.full_size import write_tiny
from tests.lib_merge.desk.test_mixer import MemoryHost

ONE = "ink x 0.75 + pastel x 0.25 = M"
CHAIN = "ink + pastel = M\nM x 0.5 + base x 0.5 = N"


@pytest.fixture
def mixer(tmp_path: Path) -> Mixer:
    (tmp_path / "models").mkdir()
    for name in ("ink", "pastel", "base"):
        write_tiny(tmp_path / "models" / f"{name}.safetensors", seed=ord(name[0]))
    host: StandaloneHost = MemoryHost([tmp_path / "models"], output=tmp_path / "out", data=tmp_path / "data")
    return Mixer(host)


def ask(mixer: Mixer, action: str, **facts: object):
    return Memory(mixer).ask(json.dumps({"action": action, "seq": 3, **facts}))


def picture(recipe: str) -> str:
    stream = BytesIO()
    told = png_facts(f"a red circle\nSteps: 1, {in_infotext(recipe)}, Version: 1")
    Image.new("RGB", (8, 8)).save(stream, format="PNG", pnginfo=told)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def test_a_sum_sets_lists_and_faders(mixer: Mixer) -> None:
    made = read_pasted(mixer, ONE + "\nsave M, dtype = fp16, vae = b")
    assert made.lists == {"a": "ink", "b": "pastel", "method": "Weighted sum", "vae": "B's", "dtype": "fp16"}
    assert set(made.amounts["alpha"].values()) == {0.25}
    assert (made.amounts["alpha"]["IN00"], made.why) == (0.25, "")


def test_numbers_and_presets_become_an_amount_for_every_slot(mixer: Mixer) -> None:
    made = read_pasted(mixer, f"ink + pastel = M, alpha = {','.join(str(n / 25) for n in range(26))}")
    amounts = made.amounts["alpha"]
    assert (amounts["BASE"], amounts["IN00"], amounts["OUT11"]) == (0, 0.04, 1)
    assert read_pasted(mixer, "ink + pastel x GRAD_V = M").amounts["alpha"]["M00"] == pytest.approx(
        0, abs=0.1
    )


@pytest.mark.parametrize("kind", ["recipe", "infotext", "picture", "file"])
def test_every_place_that_a_recipe_stands_in_leads_to_the_same_settings(mixer: Mixer, kind: str) -> None:
    wanted = read_pasted(mixer, ONE)
    saved = mixer.save({"recipe": ONE}, "mine")
    text = saved.plan.metadata[RECIPE_KEY]
    assert "sha256" in text
    made: dict[str, Setup] = {
        "recipe": read_pasted(mixer, text),
        "infotext": read_pasted(mixer, f"a red circle\nSteps: 1, {in_infotext(text)}"),
        "picture": read_pasted(mixer, "", picture(text), "drawn.png"),
        "file": read_pasted(mixer, "mine"),
    }
    assert (made[kind].lists, made[kind].amounts) == (wanted.lists, wanted.amounts)


def test_models_are_found_by_hash_under_other_names_and_that_is_said(mixer: Mixer, tmp_path: Path) -> None:
    text = mixer.save({"recipe": ONE}, "mine").plan.metadata[RECIPE_KEY]
    old = tmp_path / "models" / "pastel.safetensors"
    old.rename(old.with_name("renamed.safetensors"))
    mixer.host.checkpoints(refresh=True)
    made = read_pasted(mixer, text)
    assert made.lists["b"] == "renamed"
    assert made.notes == ("'pastel.safetensors' is here called 'renamed.safetensors'",)


def test_what_has_no_faders_is_told_and_can_be_swapped_in_and_saved(mixer: Mixer) -> None:
    told = ask(mixer, "paste", text=CHAIN)
    assert told.setup is not None
    assert (told.setup.lists, told.setup.why) == ({}, "it has 2 steps, and the faders show one")
    assert mixer.status().live is None
    mixer.apply(
        {"method": "weighted_sum", "a": "ink", "b": "pastel"}
    )  # what is swapped in before matters not
    done = ask(mixer, "apply", text=told.setup.recipe)
    assert "is in memory" in done.done
    saved = ask(mixer, "save", text=told.setup.recipe, name="chain")
    assert saved.problem is None
    assert dict(saved.sheet)["File"] == "chain.safetensors"
    assert {entry["kind"] for entry in saved.entries or ()} == {"applied", "saved"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('M = dare(ink, pastel, density = rules["attn1: 0.3"])', "'density' differs from"),
        ("M = ties(ink, pastel, shares = [0.4])", "'shares' differs from"),
        ("ink + pastel = M\nsave M, vae = none", "it leaves the VAE out"),
        ("ink + pastel = M\nsave M, text_encoder = b", "it chooses parts, markers or rounding"),
        ("M = weighted_models(ink, pastel, shares = [0.4, 0.6])", "weighted_models has no faders"),
    ],
)
def test_why_a_recipe_has_no_faders_is_said(mixer: Mixer, text: str, why: str) -> None:
    assert why in read_pasted(mixer, text).why


def test_rules_and_adjust_come_back_into_the_room_weights(mixer: Mixer) -> None:
    text = (
        'merge-desk recipe 2\nA = "ink.safetensors"\nB = "pastel.safetensors"\n'
        'M = weighted_sum(A, B, alpha = rules["*: 0.5", "attn2.to_k: 0.2", "exclude OUT"])\n'
        "N = adjust(M, brightness = -1, contrast = 2)\nsave N, vae = a\n"
    )
    setup = read_pasted(mixer, text)
    assert setup.why == ""
    assert setup.extras == {
        "weights": "*: 0.5\nattn2.to_k: 0.2\nexclude OUT",
        "adjust": "0, 0, 0, 2, -1, 0, 0, 0",
    }
    assert set(setup.amounts["alpha"].values()) == {0.0}
    choice = Choice(**{word: setup.lists[word] for word in ("a", "b", "method", "vae", "dtype")})
    body = Desk(mixer).body(choice, {**setup.amounts, **setup.knobs, **setup.extras})
    again, first = mixer.plan(body), mixer.plan({"recipe": text})
    assert [entry.expression for entry in again.keys] == [entry.expression for entry in first.keys]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "there is nothing to read"),
        ("ink + nobody = M", "there is no 'nobody'"),
        ("masterpiece", "this is not a recipe"),
        ("pastel", "this checkpoint carries no recipe"),
    ],
)
def test_what_is_not_understood_is_said_and_changes_nothing(mixer: Mixer, text: str, what: str) -> None:
    told = ask(mixer, "paste", text=text)
    assert told.setup is None
    assert told.problem is not None
    assert what in told.problem.what.lower() or what in told.problem.what
    assert mixer.status().live is None


def test_a_picture_that_is_none_is_told_by_its_name(mixer: Mixer) -> None:
    with pytest.raises(MergeError) as caught:
        read_pasted(mixer, "", "data:image/png;base64,aGFsbG8=", "hallo.png")
    assert caught.value.where == "hallo.png"


def test_every_applied_and_saved_merge_is_in_the_history_and_restored_from_it(mixer: Mixer) -> None:
    body = {"method": "weighted_sum", "a": "ink", "b": "pastel", "alpha": {"OUT05": 0.5, "*": 0.25}}
    mixer.apply(body)
    mixer.save(body, "mine")
    entries = ask(mixer, "list").entries or ()
    assert [entry["kind"] for entry in entries] == ["saved", "applied"]
    assert entries[0]["file"] == "mine.safetensors"
    told = ask(mixer, "restore", id=entries[1]["id"])
    assert told.setup is not None
    assert told.setup.amounts["alpha"]["OUT05"] == 0.5
    assert told.setup.amounts["alpha"]["IN00"] == 0.25
    ask(mixer, "star", id=entries[0]["id"], star=True)
    assert [entry["id"] for entry in ask(mixer, "list", starred=True).entries or ()] == [entries[0]["id"]]


def test_a_saved_file_and_later_pictures_carry_the_hashes_of_their_files(
    mixer: Mixer, tmp_path: Path
) -> None:
    body = {"method": "weighted_sum", "a": "ink", "b": "pastel"}
    thread = None
    mixer.apply(body)
    thread = mixer.book.learn([tmp_path / "models" / "ink.safetensors"])
    if thread is not None:
        thread.join()
    mixer.save(body, "mine")
    mixer.apply(body)
    live = mixer.status().live
    assert live is not None
    told = parse_recipe(live.recipe)
    assert told.ingredients[0].sha256 == hash_file(tmp_path / "models" / "ink.safetensors").sha256
    assert told == recipe_of(live.recipe)


def test_a_history_that_cannot_be_written_stops_no_merge(mixer: Mixer) -> None:
    mixer.history.place.mkdir(parents=True)
    assert mixer.apply({"method": "weighted_sum", "a": "ink", "b": "pastel"}).keys
