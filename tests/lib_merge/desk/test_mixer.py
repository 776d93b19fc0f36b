"""The mixer over the standalone host and real files: swap, draw, restore, save; every refusal in words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_merge.checkpoint import Header, hash_file, read_header
from lib_merge.desk.api import Answers, plan_as_answer
from lib_merge.desk.mixer import Mixer, file_name
from lib_merge.errors import MergeError, OutputError, PlanError, RecipeError
from lib_merge.hosts import standalone
from lib_merge.hosts.host import Ckpt, HostError
from lib_merge.hosts.standalone import StandaloneHost
from lib_merge.live import LiveModel
from lib_merge.recipe import RECIPE_KEY
from samples.assemble import assemble
from tests.full_size import write_tiny
from tests.live_model import Memory

SUM = {"method": "weighted_sum", "a": "a", "b": "b", "alpha": {"OUT05": 0.5, "*": 0.25}}
OUT05 = "model.diffusion_model.output_blocks.5.0.in_layers.2.weight"


class MemoryHost(StandaloneHost):
    """The standalone host with plain tensors in place of a pipeline."""

    def model(self) -> LiveModel:
        loaded = self.loaded().checkpoint
        assert loaded is not None
        if getattr(self, "memory", None) is None:
            self.memory = Memory(loaded.path)
        return self.memory

    def load(self, checkpoint: Ckpt | None = None) -> None:
        super().load(checkpoint)
        self.memory = None


@pytest.fixture
def mixer(tmp_path: Path) -> Mixer:
    for name in "ab":
        write_tiny(tmp_path / "models" / f"{name}.safetensors", seed=ord(name))
    return Mixer(MemoryHost([tmp_path / "models"], output=tmp_path / "out", data=tmp_path / "data"))


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()


def weights(mixer: Mixer) -> dict[str, torch.Tensor]:
    return {key: mixer.host.model().tensors(key)[0].clone() for key in mixer.host.model().keys()}  # noqa: SIM118


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_what_is_live_is_what_is_saved(mixer: Mixer) -> None:
    mixer.apply(SUM)
    saved = mixer.save(SUM, "mix")
    stored = load_file(saved.checkpoint.path)
    assert all(torch.equal(value, stored[key]) for key, value in weights(mixer).items())
    assert saved.checkpoint in mixer.host.checkpoints()
    assert len(str(saved.hashes.sha256)) == 64
    assert saved.hashes.autov2 == str(saved.hashes.sha256)[:10]


def test_the_status_says_what_is_in_memory(mixer: Mixer) -> None:
    assert (mixer.status().base, mixer.status().live) == ("a", None)
    mixer.apply(SUM)
    status = mixer.status()
    assert status.live is not None
    assert status.live.name == "a + b (unsaved)"
    assert status.last is not None
    assert status.last.keys > 0
    mixer.restore()
    assert mixer.status().live is None


def test_restore_brings_back_every_byte(mixer: Mixer) -> None:
    before = weights(mixer)
    mixer.apply(SUM)
    assert not same(before, weights(mixer))
    mixer.restore()
    assert same(before, weights(mixer))
    assert mixer.restore() is None  # twice is once


def test_restore_by_reload_where_the_files_are_gone(mixer: Mixer) -> None:
    mixer.apply(SUM)
    path = mixer.host.checkpoints()[0].path
    copy = path.read_bytes()
    path.write_bytes(copy)  # written over in place: its mapping may not be touched any more
    assert mixer.restore() is None
    assert same(weights(mixer), load_file(path))


def test_when_the_host_loads_something_else_nothing_is_live(mixer: Mixer) -> None:
    mixer.apply(SUM)
    mixer.host.load(mixer.host.checkpoints()[1])
    assert mixer.status().live is None
    mixer.apply(SUM)
    assert mixer.status().live is not None


def test_a_recipe_is_a_body_too(mixer: Mixer) -> None:
    mixer.apply(SUM)
    live = mixer.status().live
    assert live is not None
    assert mixer.apply({"recipe": live.recipe}).keys == 0


def test_ckpt_files_open_without_running_anything(mixer: Mixer, tmp_path: Path) -> None:
    saved = mixer.save(SUM, "mix", format="ckpt")
    whole = torch.load(saved.checkpoint.path, weights_only=True)
    safe = load_file(mixer.save(SUM, "mix").checkpoint.path)
    assert all(torch.equal(value, safe[key]) for key, value in whole["state_dict"].items())
    assert whole["state_dict"].keys() == safe.keys()
    assert RECIPE_KEY in whole["metadata"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mix.ckpt", "mix.safetensors"]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"b": "c"}, HostError, "there is no checkpoint called 'c'"),
        ({"b": "../b"}, HostError, "there is no checkpoint called '../b'"),
        ({"method": "weighted_summ"}, MergeError, "weighted_sum"),
        ({"alpha": {"IN99": 0.5}}, PlanError, "has no slot 'IN99'"),
        ({"alpha": "much"}, RecipeError, "alpha is a number"),
        ({"alpha": True}, RecipeError, "alpha is a number"),
        ({"weights": "1 2 3"}, PlanError, "3"),
        ({"alhpa": 0.5}, RecipeError, "did you mean 'alpha'"),
        ({"b": ""}, MergeError, "takes 2 models"),
        ({"dtype": "int8"}, MergeError, "int8"),
        ({"vae": "best.vae"}, HostError, "there is no VAE called"),
        ({"layout": "mine"}, MergeError, "mine"),
        ({"b": 7}, RecipeError, "'b' must be text"),
    ],
)
def test_a_wrong_body_is_told_in_one_message_and_changes_nothing(
    mixer: Mixer, change: dict[str, object], error: type[MergeError], says: str
) -> None:
    before = weights(mixer)
    with pytest.raises(error) as told:
        mixer.apply({**SUM, **change})
    assert says in str(told.value)
    assert same(before, weights(mixer))
    assert mixer.status().live is None


def test_numbers_by_block_are_read_as_the_command_line_reads_them(mixer: Mixer) -> None:
    numbers = " ".join(str(n / 25) for n in range(26))
    listed = mixer.plan({"a": "a", "b": "b", "weights": numbers})
    by_slot = {f"IN{n:02}": (n + 1) / 25 for n in range(12)} | {"M00": 13 / 25}
    by_slot |= {f"OUT{n:02}": (n + 14) / 25 for n in range(12)}
    by_slot |= {"BASE": 0.0, "TIME": 1 / 25, "OUT": 1.0}
    assert mixer.plan({"a": "a", "b": "b", "alpha": by_slot}).slots == listed.slots


def test_a_file_that_vanished_is_told_by_name(mixer: Mixer) -> None:
    mixer.host.checkpoints()[1].path.unlink()
    with pytest.raises(MergeError, match=r"b\.safetensors is gone"):
        mixer.apply(SUM)


def test_models_of_two_families_are_told_before_anything_is_read(mixer: Mixer, tmp_path: Path) -> None:
    write_tiny(tmp_path / "models" / "x.safetensors", family="sdxl")
    mixer.host.checkpoints(refresh=True)
    with pytest.raises(PlanError, match="Stable Diffusion"):
        mixer.apply({**SUM, "b": "x"})


def test_what_is_no_checkpoint_is_not_offered(mixer: Mixer, tmp_path: Path) -> None:
    (tmp_path / "models" / "broken.safetensors").write_bytes(b"no checkpoint at all")
    save_file({"lora_unet_mid.lora_up.weight": torch.zeros(2, 2)}, tmp_path / "models" / "lora.safetensors")
    assert [each.name for each in mixer.host.checkpoints(refresh=True)] == ["a", "b"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "a/b",
        "..",
        "a\\b",
        "C:x",
        "a\nb",
        ".hidden",
        "nul",
        "x" * 200,
        "mix.",
        "mix. ",
        "a\x7f",
        "a\u202eb",
        "a\u2028b",
    ],
)
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(OutputError):
        file_name(name, "safetensors")


@pytest.mark.parametrize("name", ["mix", "my mix 2", "mix.safetensors", " mix "])
def test_a_plain_name_gets_its_ending(name: str) -> None:
    assert file_name(name, "safetensors") == name.strip().removesuffix(".safetensors") + ".safetensors"


def test_nothing_is_replaced_unasked(mixer: Mixer) -> None:
    mixer.save(SUM, "mix")
    with pytest.raises(PlanError, match=r"mix\.safetensors"):
        mixer.save(SUM, "mix")
    assert mixer.save({**SUM, "alpha": 0.7}, "mix", overwrite=True).nbytes


def test_the_loaded_checkpoint_is_never_replaced(mixer: Mixer, tmp_path: Path) -> None:
    loaded = mixer.save(SUM, "mix").checkpoint
    mixer.host.load(loaded)
    with pytest.raises(PlanError):
        mixer.save(SUM, "mix", overwrite=True)


def test_the_yaml_of_a_goes_with_the_merge(mixer: Mixer, tmp_path: Path) -> None:
    (tmp_path / "models" / "a.yaml").write_text("model: {}\n", encoding="utf-8")
    saved = mixer.save(SUM, "mix")
    assert saved.checkpoint.path.with_suffix(".yaml").read_text(encoding="utf-8") == "model: {}\n"


NAMES = ["b", "b.safetensors", "b.safetensors [{short}]", "b [{short}]", "b [{old}]", "[{short}]", "{short}"]


@pytest.mark.parametrize("name", [*NAMES, "{whole}", "models/b", "models\\b.safetensors", " b "])
def test_a_checkpoint_is_found_by_the_names_that_hosts_show(mixer: Mixer, tmp_path: Path, name: str) -> None:
    path = tmp_path / "models" / "b.safetensors"
    found = hash_file(path)
    assert found.sha256
    written = name.format(short=found.sha256[:10], old=found.autov1, whole=found.sha256)
    assert mixer.checkpoint(written).path == path
    assert mixer.plan({**SUM, "b": written}).sources[1].path == path


def test_the_hash_behind_a_name_must_be_that_files(mixer: Mixer) -> None:
    with pytest.raises(HostError, match="holds something else"):
        mixer.plan({**SUM, "b": "b.safetensors [0123456789]"})


def test_differences_are_zero_for_a_model_and_itself_and_alike_both_ways(mixer: Mixer) -> None:
    assert set(mixer.differences("a", "a").values()) == {0.0}
    assert mixer.differences("a", "b") == pytest.approx(mixer.differences("b", "a"))
    files = [load_file(each.path) for each in mixer.host.checkpoints()]
    keys = [key for key in files[0] if ".output_blocks.5." in key]
    apart, a, b = (
        sum(float(x[key].double().square().sum()) for key in keys)
        for x in ({k: files[0][k].double() - files[1][k].double() for k in keys}, *files)
    )
    assert mixer.differences("a", "b")["OUT05"] == pytest.approx((apart / (a * b) ** 0.5) ** 0.5, rel=1e-3)


@pytest.mark.slow
def test_the_live_picture_is_the_saved_files_and_restore_brings_the_old_one(tmp_path: Path) -> None:
    assemble(tmp_path / "models")
    host = StandaloneHost([tmp_path / "models"], output=tmp_path / "out", data=tmp_path / "data")
    mixer = Mixer(host)
    look = host.usual()
    body = {"a": "ink", "b": "pastel", "alpha": {"OUT08": 1.0, "*": 0.4}}
    before = mixer.draw(look)
    _, live = mixer.apply_and_draw(body, look)
    assert live.image.tobytes() != before.image.tobytes()
    saved = mixer.save(body, "mixed")
    mixer.restore()
    assert mixer.draw(look).image.tobytes() == before.image.tobytes()
    host.load(saved.checkpoint)
    assert mixer.draw(look).image.tobytes() == live.image.tobytes()
    assert read_header(saved.checkpoint.path).metadata[RECIPE_KEY]


@pytest.fixture
def alike(tmp_path: Path) -> Mixer:
    """One name in two folders of models, and a VAE file that is called as a checkpoint is."""
    for name in ("one", "two", "vae"):
        (tmp_path / "models" / name).mkdir()
    for number, name in enumerate(("one/x", "two/x", "ink")):
        write_tiny(tmp_path / "models" / f"{name}.safetensors", seed=number)
    whole = load_file(tmp_path / "models" / "ink.safetensors")
    vae = {key: tensor + 1 for key, tensor in whole.items() if key.startswith("first_stage_model.")}
    save_file(vae, tmp_path / "models" / "vae" / "ink.safetensors")
    return Mixer(MemoryHost([tmp_path / "models"], output=tmp_path / "out", data=tmp_path / "data"))


def test_two_files_of_one_name_stay_two_in_memory_in_the_file_and_in_its_recipe(alike: Mixer) -> None:
    body = {"a": "one/x", "b": "two/x", "alpha": 0.25}
    asked = alike.read(body)
    assert asked.recipe.files == ("one/x.safetensors", "two/x.safetensors")
    assert [alike.plan(body).sources[n].path.parent.name for n in range(2)] == ["one", "two"]
    saved = alike.save(body, "mix")
    a, b, made = (
        load_file(path)
        for path in (*(asked.files[f].path for f in asked.recipe.files), saved.checkpoint.path)
    )
    expected = (0.75 * a[OUT05].double() + 0.25 * b[OUT05].double()).to(made[OUT05].dtype)
    assert torch.equal(made[OUT05], expected)
    again = alike.read({"recipe": read_header(saved.checkpoint.path).metadata[RECIPE_KEY]})
    assert {file: each.path for file, each in again.files.items()} == {
        file: each.path for file, each in asked.files.items()
    }
    assert alike.history.entries()[0].title.startswith("one/x + two/x")


def test_a_vae_file_that_is_called_as_a_checkpoint_is_the_vae(alike: Mixer) -> None:
    asked = alike.read({"a": "ink", "b": "one/x", "vae": "vae/ink"})
    assert asked.recipe.vae == "vae/ink.safetensors"
    assert asked.recipe.ingredients[0].file == "models/ink.safetensors"
    assert {each.path.parent.name for each in asked.files.values()} == {"models", "vae", "one"}
    text = 'merge-desk recipe 2\nA = "ink.safetensors"\nsave A, vae = "ink.safetensors"'
    found = alike.read({"recipe": text})
    assert found.files[found.recipe.vae].path.parent.name == "vae"
    assert found.files[found.recipe.ingredients[0].file].path.parent.name == "models"


@pytest.mark.parametrize("body", [{"a": "x", "b": "ink"}, {"recipe": "x + ink = M"}])
def test_a_name_that_fits_two_files_is_refused_with_both(alike: Mixer, body: dict[str, str]) -> None:
    with pytest.raises(HostError, match="'x' fits 2 files") as refused:
        alike.read(body)
    assert all(name in refused.value.where for name in ("one/x", "two/x"))


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_a_name_that_is_not_utf8_is_listed_planned_saved_and_rebuilt(mixer: Mixer, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path / "models") + b"/mod\xe8le.safetensors")
    (tmp_path / "models" / "a.safetensors").rename(odd)
    names = [each.name for each in mixer.host.checkpoints(refresh=True)]
    assert names == ["b", "mod\\xe8le"]
    body = {**SUM, "a": names[1]}
    assert mixer.read(body).recipe.files == ("mod\\xe8le.safetensors", "b.safetensors")
    dump = json.dumps([plan_as_answer(mixer.plan(body)), Answers(mixer).status({})], ensure_ascii=False)
    assert "mod\\\\xe8le" in dump.encode("utf-8").decode("utf-8")
    saved = mixer.save(body, "mix").checkpoint.path
    again = mixer.read({"recipe": read_header(saved).metadata[RECIPE_KEY]})
    assert os.fspath(again.files[again.recipe.ingredients[0].file].path) == odd
    assert mixer.history.entries()[0].title == "mod\\xe8le + b, weighted_sum"


def test_what_cannot_be_read_is_told_with_the_reason_and_keeps_nothing_from_starting(
    mixer: Mixer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "empty.safetensors").touch()
    (tmp_path / "models" / "no.ckpt").write_bytes(b"PK\3\4 no zip")
    (tmp_path / "models" / "odd.safetensors").write_bytes(b"odd")

    def odd_reader(path: Path) -> Header:
        if path.name == "odd.safetensors":
            raise AttributeError("items")
        return read_header(path)

    monkeypatch.setattr(standalone, "read_header", odd_reader)
    assert [each.name for each in mixer.host.checkpoints(refresh=True)] == ["a", "b"]
    told = Answers(mixer).status({})["unreadable"]
    assert sorted(told) == ["empty.safetensors", "no.ckpt", "odd.safetensors"]
    assert told["empty.safetensors"] == "the file is empty"
    assert "AttributeError: items" in told["odd.safetensors"]
    (tmp_path / "models" / "b.safetensors").write_bytes(b"cut short")  # after it was listed
    with pytest.raises(MergeError):
        mixer.plan(SUM)
    assert "b" in Answers(mixer).status({})["unreadable"]
