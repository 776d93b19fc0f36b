"""The service with the standalone host and real files: apply, draw, restore, save, and every error."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_merge.architectures import read_header
from lib_merge.checkpoint import Header, hash_file
from lib_merge.errors import MergeError, OutputError, PlanError, RecipeError
from lib_merge.hosts import standalone
from lib_merge.hosts.host import HostError, ListedFile
from lib_merge.hosts.standalone import StandaloneHost
from lib_merge.live import LiveModel
from lib_merge.recipe import RECIPE_KEY
from lib_merge.save.saving import file_name
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest
from lib_merge.service.services import Services
from samples.assemble import assemble
from tests.support.desk_page import call
from tests.support.full_size import write_tiny
from tests.support.live_model import Memory
from tests.support.swaps import draw, restore, swap_in

merge_of = MergeRequest.from_json

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

    def load(self, checkpoint: ListedFile | None = None) -> None:
        super().load(checkpoint)
        self.memory = None


@pytest.fixture
def service(tmp_path: Path) -> MergeService:
    for name in "ab":
        write_tiny(tmp_path / "models" / f"{name}.safetensors", seed=ord(name))
    return MergeService(MemoryHost([tmp_path / "models"], output=tmp_path / "out", data=tmp_path / "data"))


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()


def weights(service: MergeService) -> dict[str, torch.Tensor]:
    return {key: service.host.model().places(key)[0].tensor.clone() for key in service.host.model().keys()}  # noqa: SIM118


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_what_is_live_is_what_is_saved(service: MergeService) -> None:
    swap_in(service, SUM)
    saved = service.save(merge_of(SUM), "mix")
    stored = load_file(saved.checkpoint.path)
    assert all(torch.equal(value, stored[key]) for key, value in weights(service).items())
    assert saved.checkpoint in service.host.checkpoints()
    assert len(str(saved.hashes.sha256)) == 64
    assert saved.hashes.autov2 == str(saved.hashes.sha256)[:10]


def test_the_status_says_what_is_in_memory(service: MergeService) -> None:
    assert (service.status().base, service.status().live) == ("a", None)
    swap_in(service, SUM)
    status = service.status()
    assert status.live is not None
    assert status.live.name == "a + b (unsaved)"
    assert status.last_report is not None
    assert status.last_report.keys > 0
    restore(service)
    assert service.status().live is None


def test_restore_brings_back_every_byte(service: MergeService) -> None:
    before = weights(service)
    swap_in(service, SUM)
    assert not same(before, weights(service))
    restore(service)
    assert same(before, weights(service))
    assert restore(service) is None  # twice is once


def test_restore_by_reload_where_the_files_are_gone(service: MergeService) -> None:
    swap_in(service, SUM)
    path = service.host.checkpoints()[0].path
    copy = path.read_bytes()
    path.write_bytes(copy)  # written over in place: its mapping may not be touched any more
    assert restore(service) is None
    assert same(weights(service), load_file(path))


def test_when_the_host_loads_something_else_nothing_is_live(service: MergeService) -> None:
    swap_in(service, SUM)
    service.host.load(service.host.checkpoints()[1])
    assert service.status().live is None
    swap_in(service, SUM)
    assert service.status().live is not None


def test_a_recipe_is_a_body_too(service: MergeService) -> None:
    swap_in(service, SUM)
    live = service.status().live
    assert live is not None
    assert swap_in(service, {"recipe": live.recipe}).keys == 0


def test_ckpt_files_open_without_running_anything(service: MergeService, tmp_path: Path) -> None:
    saved = service.save(merge_of(SUM), "mix", format="ckpt")
    whole = torch.load(saved.checkpoint.path, weights_only=True)
    safe = load_file(service.save(merge_of(SUM), "mix").checkpoint.path)
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
def test_a_wrong_body_is_refused_in_one_message_and_changes_nothing(
    service: MergeService, change: dict[str, object], error: type[MergeError], says: str
) -> None:
    before = weights(service)
    with pytest.raises(error) as raised:
        swap_in(service, {**SUM, **change})
    assert says in str(raised.value)
    assert same(before, weights(service))
    assert service.status().live is None


def test_numbers_by_block_are_read_as_the_command_line_reads_them(service: MergeService) -> None:
    numbers = " ".join(str(n / 25) for n in range(26))
    listed = service.plan(merge_of({"a": "a", "b": "b", "weights": numbers}))
    by_slot = {f"IN{n:02}": (n + 1) / 25 for n in range(12)} | {"M00": 13 / 25}
    by_slot |= {f"OUT{n:02}": (n + 14) / 25 for n in range(12)}
    by_slot |= {"BASE": 0.0, "TIME": 1 / 25, "OUT": 1.0}
    assert service.plan(merge_of({"a": "a", "b": "b", "alpha": by_slot})).slots == listed.slots


def test_a_file_that_vanished_is_reported_by_name(service: MergeService) -> None:
    service.host.checkpoints()[1].path.unlink()
    with pytest.raises(MergeError, match=r"b\.safetensors is gone"):
        swap_in(service, SUM)


def test_models_of_two_families_are_reported_before_anything_is_read(
    service: MergeService, tmp_path: Path
) -> None:
    write_tiny(tmp_path / "models" / "x.safetensors", family="sdxl")
    service.host.checkpoints(refresh=True)
    with pytest.raises(PlanError, match="Stable Diffusion"):
        swap_in(service, {**SUM, "b": "x"})


def test_what_is_no_checkpoint_is_not_offered(service: MergeService, tmp_path: Path) -> None:
    (tmp_path / "models" / "broken.safetensors").write_bytes(b"no checkpoint at all")
    save_file({"lora_unet_mid.lora_up.weight": torch.zeros(2, 2)}, tmp_path / "models" / "lora.safetensors")
    assert [checkpoint.name for checkpoint in service.host.checkpoints(refresh=True)] == ["a", "b"]


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


def test_nothing_is_replaced_unasked(service: MergeService) -> None:
    service.save(merge_of(SUM), "mix")
    with pytest.raises(PlanError, match=r"mix\.safetensors"):
        service.save(merge_of(SUM), "mix")
    assert service.save(merge_of({**SUM, "alpha": 0.7}), "mix", overwrite=True).nbytes


def test_the_loaded_checkpoint_is_never_replaced(service: MergeService, tmp_path: Path) -> None:
    loaded = service.save(merge_of(SUM), "mix").checkpoint
    service.host.load(loaded)
    with pytest.raises(PlanError):
        service.save(merge_of(SUM), "mix", overwrite=True)


def test_the_yaml_of_a_goes_with_the_merge(service: MergeService, tmp_path: Path) -> None:
    (tmp_path / "models" / "a.yaml").write_text("model: {}\n", encoding="utf-8")
    saved = service.save(merge_of(SUM), "mix")
    assert saved.checkpoint.path.with_suffix(".yaml").read_text(encoding="utf-8") == "model: {}\n"


NAMES = ["b", "b.safetensors", "b.safetensors [{short}]", "b [{short}]", "b [{old}]", "[{short}]", "{short}"]


@pytest.mark.parametrize("name", [*NAMES, "{whole}", "models/b", "models\\b.safetensors", " b "])
def test_a_checkpoint_is_found_by_the_names_that_hosts_show(
    service: MergeService, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "models" / "b.safetensors"
    hashes = hash_file(path)
    assert hashes.sha256
    written = name.format(short=hashes.sha256[:10], old=hashes.autov1, whole=hashes.sha256)
    assert service.checkpoint(written).path == path
    assert service.plan(merge_of({**SUM, "b": written})).sources[1].path == path


def test_the_hash_behind_a_name_must_be_that_files(service: MergeService) -> None:
    with pytest.raises(HostError, match="holds something else"):
        service.plan(merge_of({**SUM, "b": "b.safetensors [0123456789]"}))


def test_differences_are_zero_for_a_model_and_itself_and_alike_both_ways(service: MergeService) -> None:
    assert set(service.slot_differences("a", "a").values()) == {0.0}
    assert service.slot_differences("a", "b") == pytest.approx(service.slot_differences("b", "a"))
    files = [load_file(checkpoint.path) for checkpoint in service.host.checkpoints()]
    keys = [key for key in files[0] if ".output_blocks.5." in key]
    apart, a, b = (
        sum(float(x[key].double().square().sum()) for key in keys)
        for x in ({k: files[0][k].double() - files[1][k].double() for k in keys}, *files)
    )
    assert service.slot_differences("a", "b")["OUT05"] == pytest.approx(
        (apart / (a * b) ** 0.5) ** 0.5, rel=1e-3
    )


@pytest.mark.slow
def test_the_live_picture_is_the_saved_files_and_restore_brings_the_old_one(tmp_path: Path) -> None:
    assemble(tmp_path / "models")
    host = StandaloneHost([tmp_path / "models"], output=tmp_path / "out", data=tmp_path / "data")
    service = MergeService(host)
    look = host.default_settings()
    body = {"a": "ink", "b": "pastel", "alpha": {"OUT08": 1.0, "*": 0.4}}
    before = draw(service, look)
    with service.job("preview") as job:
        job.apply(service.prepare(merge_of(body)))
        live = job.draw(look)
    assert live.image.tobytes() != before.image.tobytes()
    saved = service.save(merge_of(body), "mixed")
    restore(service)
    assert draw(service, look).image.tobytes() == before.image.tobytes()
    host.load(saved.checkpoint)
    assert draw(service, look).image.tobytes() == live.image.tobytes()
    assert read_header(saved.checkpoint.path).metadata[RECIPE_KEY]


@pytest.fixture
def alike(tmp_path: Path) -> MergeService:
    """One name in two folders of models, and a VAE file that is called as a checkpoint is."""
    for name in ("one", "two", "vae"):
        (tmp_path / "models" / name).mkdir()
    for number, name in enumerate(("one/x", "two/x", "ink")):
        write_tiny(tmp_path / "models" / f"{name}.safetensors", seed=number)
    whole = load_file(tmp_path / "models" / "ink.safetensors")
    vae = {key: tensor + 1 for key, tensor in whole.items() if key.startswith("first_stage_model.")}
    save_file(vae, tmp_path / "models" / "vae" / "ink.safetensors")
    return MergeService(MemoryHost([tmp_path / "models"], output=tmp_path / "out", data=tmp_path / "data"))


def test_two_files_of_one_name_stay_two_in_memory_in_the_file_and_in_its_recipe(alike: MergeService) -> None:
    body = {"a": "one/x", "b": "two/x", "alpha": 0.25}
    resolved = alike.resolve(merge_of(body))
    assert resolved.recipe.files == ("one/x.safetensors", "two/x.safetensors")
    assert [alike.plan(merge_of(body)).sources[n].path.parent.name for n in range(2)] == ["one", "two"]
    saved = alike.save(merge_of(body), "mix")
    a, b, saved_tensors = (
        load_file(path)
        for path in (*(resolved.files[f].path for f in resolved.recipe.files), saved.checkpoint.path)
    )
    expected = (0.75 * a[OUT05].double() + 0.25 * b[OUT05].double()).to(saved_tensors[OUT05].dtype)
    assert torch.equal(saved_tensors[OUT05], expected)
    again = alike.resolve(merge_of({"recipe": read_header(saved.checkpoint.path).metadata[RECIPE_KEY]}))
    assert {file: file.path for file, file in again.files.items()} == {
        file: file.path for file, file in resolved.files.items()
    }
    assert alike.history.entries()[0].title.startswith("one/x + two/x")


def test_a_vae_file_that_is_called_as_a_checkpoint_is_the_vae(alike: MergeService) -> None:
    resolved = alike.resolve(merge_of({"a": "ink", "b": "one/x", "vae": "vae/ink"}))
    assert resolved.recipe.vae == "vae/ink.safetensors"
    assert resolved.recipe.ingredients[0].file == "models/ink.safetensors"
    assert {file.path.parent.name for file in resolved.files.values()} == {"models", "vae", "one"}
    text = 'merge-desk recipe 2\nA = "ink.safetensors"\nsave A, vae = "ink.safetensors"'
    located = alike.resolve(merge_of({"recipe": text}))
    assert located.files[located.recipe.vae].path.parent.name == "vae"
    assert located.files[located.recipe.ingredients[0].file].path.parent.name == "models"


@pytest.mark.parametrize("body", [{"a": "x", "b": "ink"}, {"recipe": "x + ink = M"}])
def test_a_name_that_fits_two_files_is_refused_with_both(alike: MergeService, body: dict[str, str]) -> None:
    with pytest.raises(HostError, match="'x' fits 2 files") as refused:
        alike.resolve(merge_of(body))
    assert all(name in refused.value.where for name in ("one/x", "two/x"))


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_a_name_that_is_not_utf8_is_listed_planned_saved_and_rebuilt(
    service: MergeService, tmp_path: Path
) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path / "models") + b"/mod\xe8le.safetensors")
    (tmp_path / "models" / "a.safetensors").rename(odd)
    names = [checkpoint.name for checkpoint in service.host.checkpoints(refresh=True)]
    assert names == ["b", "mod\\xe8le"]
    body, ask = {**SUM, "a": names[1]}, partial(call, Services(service))
    assert service.resolve(merge_of(body)).recipe.files == ("mod\\xe8le.safetensors", "b.safetensors")
    dump = json.dumps([ask("POST", "plan", body), ask("GET", "status")], ensure_ascii=False)
    assert "mod\\\\xe8le" in dump.encode("utf-8").decode("utf-8")
    saved = service.save(merge_of(body), "mix").checkpoint.path
    again = service.resolve(merge_of({"recipe": read_header(saved).metadata[RECIPE_KEY]}))
    assert os.fspath(again.files[again.recipe.ingredients[0].file].path) == odd
    assert service.history.entries()[0].title == "mod\\xe8le + b, weighted_sum"


def test_what_cannot_be_read_is_listed_with_the_reason_and_keeps_nothing_from_starting(
    service: MergeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "empty.safetensors").touch()
    (tmp_path / "models" / "no.ckpt").write_bytes(b"PK\3\4 no zip")
    (tmp_path / "models" / "odd.safetensors").write_bytes(b"odd")

    def odd_reader(path: Path) -> Header:
        if path.name == "odd.safetensors":
            raise AttributeError("items")
        return read_header(path)

    monkeypatch.setattr(standalone, "read_header", odd_reader)
    assert [checkpoint.name for checkpoint in service.host.checkpoints(refresh=True)] == ["a", "b"]
    reasons = call(Services(service), "GET", "status")["unreadable"]
    assert sorted(reasons) == ["empty.safetensors", "no.ckpt", "odd.safetensors"]
    assert reasons["empty.safetensors"] == "the file is empty"
    assert "AttributeError: items" in reasons["odd.safetensors"]
    (tmp_path / "models" / "b.safetensors").write_bytes(b"cut short")  # after it was listed
    with pytest.raises(MergeError):
        service.plan(merge_of(SUM))
    assert "b" in call(Services(service), "GET", "status")["unreadable"]
