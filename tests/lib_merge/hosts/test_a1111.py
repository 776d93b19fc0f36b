"""The traps of a live swap in A1111, on a small model with the host's hooks; tests/webui has the real one."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lib_merge.hosts import a1111, a1111_model, live_webui, pinned, webui, webui_modules
from lib_merge.hosts.a1111 import A1111Host
from lib_merge.hosts.host import HostError, find_file
from lib_merge.live import MergeIdent
from tests.support.checkpoint_info import Info
from tests.support.full_size import write_tiny

IDENT = MergeIdent("ink + pastel (unsaved)", "merge-12345678", "merge-desk recipe 1\n")
LINEAR = "model.diffusion_model.inner.weight"
TOKENS = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
VAE = "first_stage_model.decoder.weight"


def wrapped(inner: nn.Module, **parts: nn.Module) -> nn.Module:
    """As the host's hijack wraps."""
    module = nn.Module()
    module.wrapped = inner
    for name, part in parts.items():
        setattr(inner, name, part)
    return module


class Model(nn.Module):
    """A small model with the attributes of the host's."""

    def __init__(self, info: Info) -> None:
        super().__init__()
        unet = nn.Module()
        unet.inner, unet.attn = nn.Linear(3, 3), nn.MultiheadAttention(4, 2)
        self.model = nn.Module()
        self.model.diffusion_model = unet
        text = nn.Module()
        text.embeddings = nn.Module()
        text.embeddings.token_embedding = wrapped(nn.Embedding(5, 2))
        transformer = nn.Module()
        transformer.text_model = text
        self.cond_stage_model = wrapped(nn.Module(), transformer=transformer)
        self.first_stage_model = nn.Module()
        self.first_stage_model.decoder = nn.Linear(2, 2)
        self.sd_checkpoint_info, self.sd_model_checkpoint = info, info.filename
        self.sd_model_hash, self.lowvram, self.base_vae = info.shorthash, False, None
        self.cond_stage_model_empty_prompt = "old"


class Caches:
    cached_c, cached_uc = ["a", "b"], ["a", "b", "c"]


class HiresCaches:
    cached_hr_c, cached_hr_uc = ["a", "b"], ["a", "b"]


@pytest.fixture
def info(tmp_path: Path) -> Info:
    return Info(str(tmp_path / "ink.safetensors"))


@pytest.fixture
def fake(info: Info, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    model = Model(info)
    vae = SimpleNamespace(base_vae=None, loaded_vae_file=None, checkpoint_info=None, vae_dict={})
    vae.delete_base_vae = lambda: vae.__dict__.update(base_vae=None, checkpoint_info=None)
    models = SimpleNamespace(
        model_data=SimpleNamespace(sd_model=model, loaded_sd_models=[model], was_loaded_at_least_once=True),
        checkpoints_list={info.title: info},
        CheckpointInfo=Info,
        reload_model_weights=lambda **_: None,
        get_empty_cond=lambda _: "new",
        send_model_to_trash=lambda model: model.to("meta"),
    )
    from contextlib import nullcontext

    modules = {
        "sd_models": models,
        "sd_vae": vae,
        "sd_unet": SimpleNamespace(current_unet=None),
        "call_queue": SimpleNamespace(queue_lock=threading.Lock()),
        "devices": SimpleNamespace(device=torch.device("cpu"), autocast=nullcontext, torch_gc=lambda: None),
        "shared": SimpleNamespace(
            opts=SimpleNamespace(data={"sd_checkpoint_hash": info.sha256, "sd_model_checkpoint": info.title})
        ),
        "processing": SimpleNamespace(
            StableDiffusionProcessing=Caches, StableDiffusionProcessingTxt2Img=HiresCaches
        ),
    }
    for module in (a1111, a1111_model, live_webui, pinned, webui, webui_modules):
        monkeypatch.setattr(module, "host_module", modules.__getitem__)
    return SimpleNamespace(**modules, model=model, vae=vae)


@pytest.fixture
def host(fake: SimpleNamespace) -> A1111Host:
    return A1111Host()


def test_parameters_have_the_files_names(host: A1111Host) -> None:
    keys = set(host.model().keys())
    assert {LINEAR, TOKENS, VAE, "model.diffusion_model.attn.in_proj_weight"} <= keys


def test_the_copy_that_fp8_keeps_for_loras_is_written_too(host: A1111Host, fake: Any) -> None:
    owner = fake.model.model.diffusion_model.inner
    owner.fp16_weight = torch.zeros(3, 3).half()
    weight, copy = host.model().places(LINEAR)
    assert weight.tensor is owner.weight
    assert copy.tensor is owner.fp16_weight
    assert len(host.model().places(LINEAR.replace("weight", "bias"))) == 1


def test_a_vae_of_the_users_own_is_not_written(host: A1111Host, fake: Any) -> None:
    assert host.model().places(VAE)[0].tensor is fake.model.first_stage_model.decoder.weight
    fake.vae.loaded_vae_file = "own.safetensors"
    assert host.model().places(VAE) == ()
    fake.vae.base_vae = {"decoder.weight": torch.ones(2, 2)}
    assert host.model().places(VAE)[0].tensor is fake.vae.base_vae["decoder.weight"]


def test_the_merge_is_pinned_to_its_checkpoint(host: A1111Host, fake: Any, info: Info) -> None:
    host.model().commit(IDENT, [LINEAR])
    live = fake.model.sd_checkpoint_info
    assert live is not info
    assert live.filename == str(Path(info.filename).with_suffix(".livemerge"))
    assert (live.name_for_extra, live.shorthash, live.sha256) == (IDENT.name, IDENT.id, None)
    assert fake.model.sd_model_checkpoint == info.filename
    assert fake.model.sd_model_hash == IDENT.id
    assert fake.shared.opts.data == {"sd_checkpoint_hash": "", "sd_model_checkpoint": info.title}
    assert live not in fake.sd_models.checkpoints_list.values()
    assert host.live_ident() == IDENT
    assert host.merged_checkpoint == Path(info.filename)
    assert host.infotext_model() == (IDENT.name, IDENT.id)
    assert info.ids
    assert info.metadata


def test_restoring_puts_back_what_the_list_has_now(host: A1111Host, fake: Any, info: Info) -> None:
    host.model().commit(IDENT, [LINEAR])
    fresh = Info(info.filename)
    fake.sd_models.checkpoints_list = {fresh.title: fresh}  # a refresh of the list
    host.model().commit(None, [LINEAR])
    assert fake.model.sd_checkpoint_info is fresh
    assert fake.model.sd_model_hash == fresh.shorthash
    assert fake.shared.opts.data["sd_checkpoint_hash"] == fresh.sha256
    host.model().commit(IDENT, [LINEAR])
    fake.sd_models.checkpoints_list = {}  # the file is gone
    host.model().commit(None, [LINEAR])
    assert fake.model.sd_checkpoint_info is fresh


def test_the_token_lives_as_long_as_the_weights(host: A1111Host, fake: Any, info: Info) -> None:
    first = host.model().token()
    assert host.model().token() is first
    host.model().commit(IDENT, [LINEAR])
    live = host.model().token()
    assert live is not first
    assert host.model().token() is live
    fake.model.sd_checkpoint_info = info  # the host loaded A again
    assert host.model().token() is not live


def test_an_info_that_the_host_falls_back_to_becomes_the_checkpoint(
    host: A1111Host, fake: Any, info: Info
) -> None:
    host.model().commit(IDENT, [LINEAR])
    token, live = host.model().token(), fake.model.sd_checkpoint_info
    assert live.calculate_shorthash() == info.shorthash
    assert (live.filename, live.title) == (info.filename, info.title)
    assert host.live_ident() is None
    assert host.model().token() is not token
    assert live.calculate_shorthash() == info.shorthash


def test_conditioning_is_forgotten_in_place(host: A1111Host, fake: Any) -> None:
    held = [Caches.cached_c, Caches.cached_uc, HiresCaches.cached_hr_c, HiresCaches.cached_hr_uc]
    host.model().commit(IDENT, [LINEAR])
    assert held == [[None] * 2, [None] * 3, [None] * 2, [None] * 2]
    assert fake.model.cond_stage_model_empty_prompt == "old"
    host.model().commit(IDENT, [TOKENS])
    assert fake.model.cond_stage_model_empty_prompt == "new"


def test_the_hosts_vae_bookkeeping_follows(host: A1111Host, fake: Any, info: Info) -> None:
    host.model().commit(IDENT, [LINEAR])
    assert fake.vae.checkpoint_info is None  # or it would not keep our VAE when another is chosen
    fake.vae.loaded_vae_file, fake.vae.base_vae = "own.safetensors", {"decoder.weight": torch.ones(2, 2)}
    host.model().commit(IDENT, [LINEAR])
    assert fake.vae.checkpoint_info is fake.model.sd_checkpoint_info
    host.model().commit(None, [LINEAR])
    assert fake.vae.checkpoint_info is info
    assert fake.vae.base_vae is not None


def with_lora(module: Any, weight: Any, bias: Any) -> None:
    module.network_current_names = ("tiny",)
    module.network_weights_backup, module.network_bias_backup = weight, bias


def test_a_lora_is_taken_out_of_all_layers_of_a_touched_part(host: A1111Host, fake: Any) -> None:
    unet, vae = fake.model.model.diffusion_model, fake.model.first_stage_model.decoder
    with_lora(unet.inner, torch.full((3, 3), 2.0), None)
    fused = torch.full((12, 4), 3.0), torch.full((4, 4), 4.0)
    with_lora(unet.attn, fused, torch.full((4,), 5.0))
    with_lora(vae, torch.full((2, 2), 6.0), None)
    host.model().prepare([LINEAR])
    assert (unet.inner.weight == 2).all()
    assert unet.inner.bias is None  # the LoRA had made one
    assert (unet.attn.in_proj_weight == 3).all()
    assert (unet.attn.out_proj.weight == 4).all()
    assert (unet.attn.out_proj.bias == 5).all()
    for module in (unet.inner, unet.attn):
        assert (module.network_current_names, module.network_weights_backup) == ((), None)
    assert vae.network_current_names == ("tiny",)


def test_a_lora_whose_backups_are_gone_leaves_the_bias(host: A1111Host, fake: Any) -> None:
    inner = fake.model.model.diffusion_model.inner
    with_lora(inner, None, None)
    host.model().prepare([LINEAR])
    assert inner.bias is not None
    assert inner.network_current_names == ()


def test_what_cannot_be_swapped_into_is_refused_with_a_reason(host: A1111Host, fake: Any) -> None:
    assert host.loaded().unavailable_reason == ""
    fake.sd_unet.current_unet = SimpleNamespace(option=SimpleNamespace(label="[TRT] ink"))
    assert "[TRT] ink" in host.loaded().unavailable_reason
    with pytest.raises(HostError, match="TRT"):
        host.model()
    fake.sd_unet.current_unet = None
    fake.model.is_sd3 = True
    assert host.loaded().unavailable_reason
    fake.model.is_sd3 = False
    fake.sd_models.model_data.loaded_sd_models = []
    assert "left an incomplete model" in host.loaded().unavailable_reason
    fake.sd_models.model_data.loaded_sd_models = [fake.model]
    unwrapped, fake.model.cond_stage_model = fake.model.cond_stage_model, nn.Linear(1, 1)
    assert "left an incomplete model" in host.loaded().unavailable_reason
    fake.model.cond_stage_model = unwrapped
    fake.devices.device = torch.device("meta")
    assert "not on the device" in host.loaded().unavailable_reason


def test_after_a_failed_load_another_checkpoint_is_named_and_a_job_loads_the_chosen_one(
    host: A1111Host, fake: Any, info: Info
) -> None:
    for name, seed in (("ink", 1), ("pastel", 2)):
        write_tiny(Path(info.filename).with_name(f"{name}.safetensors"), seed=seed)
    bad = Path(info.filename).with_name("bad.safetensors")
    bad.write_bytes(b"half a file")
    for path in (bad, bad.with_name("pastel.safetensors")):
        fake.sd_models.checkpoints_list[path.name] = Info(str(path))
    fake.sd_models.model_data.loaded_sd_models = []
    assert "choose another checkpoint in the WebUI, such as pastel" in host.loaded().unavailable_reason
    loads: list[Any] = []
    fake.sd_models.reload_model_weights = lambda **keywords: loads.append(keywords)
    host.ensure_loaded()
    assert loads[-1] == {"info": info, "forced_reload": True}

    def fail(**_: Any) -> None:
        raise OSError("no such file")

    fake.sd_models.reload_model_weights = fail
    with pytest.raises(HostError, match="could not load") as refused:
        host.ensure_loaded()
    assert refused.value.hint == "choose another checkpoint in the WebUI, such as pastel"


def test_what_a_job_loads_half_way_is_not_taken_for_the_merge_over_it(
    host: A1111Host, fake: Any, info: Info
) -> None:
    other = Info(str(Path(info.filename).with_name("pastel.safetensors")))
    assert host.another_copy(info) is info
    host.model().commit(IDENT, [LINEAR])
    assert host.another_copy(other) is other
    apart = host.another_copy(info)
    assert apart.filename != info.filename  # so that the host loads it
    assert Path(apart.filename) == Path(info.filename)
    assert (apart.title, apart.calculate_shorthash()) == (info.title, info.shorthash)
    assert host.another_copy(apart) is apart


def test_weights_that_another_extension_has_changed_are_noticed(
    host: A1111Host, fake: Any, info: Info
) -> None:
    unet = fake.model.model.diffusion_model
    unet.input_blocks = nn.ModuleList([nn.Sequential(nn.Linear(3, 3))])
    block = unet.input_blocks[0][0].half()
    key = "model.diffusion_model.input_blocks.0.0.weight"
    save_file({key: block.weight.detach().float(), VAE: torch.zeros(2, 2)}, info.filename)
    assert not host.weights_altered()
    with torch.no_grad():
        block.weight[0] += 0.5
    assert host.weights_altered()
    block.network_current_names = ("tiny",)  # a LoRA of the prompt's
    assert not host.weights_altered()
    block.network_current_names = ()
    fake.call_queue.queue_lock.acquire()  # a job may be changing them
    assert not host.weights_altered()
    fake.call_queue.queue_lock.release()
    host.model().commit(IDENT, [LINEAR])  # it is our merge
    assert not host.weights_altered()


def test_quantised_weights_are_refused(host: A1111Host, fake: Any) -> None:
    inner = fake.model.model.diffusion_model.inner
    inner.weight = nn.Parameter(torch.zeros((3, 3), dtype=torch.uint8), requires_grad=False)
    assert "quantised" in host.loaded().unavailable_reason


def test_nothing_loaded_is_no_error(host: A1111Host, fake: Any) -> None:
    fake.sd_models.model_data.sd_model = None
    assert host.loaded().checkpoint is None
    assert host.live_ident() is None
    with pytest.raises(HostError, match="no checkpoint"):
        host.model()


def test_a_merge_that_was_left_is_removed_from_memory(host: A1111Host, fake: Any, tmp_path: Path) -> None:
    host.model().commit(IDENT, [LINEAR])
    left, other = fake.model, Model(Info(str(tmp_path / "pastel.safetensors")))
    fake.sd_models.model_data.loaded_sd_models = [other, left]
    host.release_unused()
    assert fake.sd_models.model_data.loaded_sd_models == [other, left]  # it is the one in use
    fake.sd_models.model_data.sd_model = other
    host.release_unused()
    assert fake.sd_models.model_data.loaded_sd_models == [other]
    assert next(left.parameters()).is_meta


def test_loading_again_goes_by_the_checkpoints_own_info(host: A1111Host, fake: Any, info: Info) -> None:
    loads: list[Any] = []
    fake.sd_models.reload_model_weights = lambda **keywords: loads.append(keywords)
    host.model().commit(IDENT, [LINEAR])
    host.load()
    assert loads == [{"info": info, "forced_reload": True}]
    assert fake.model.sd_checkpoint_info is info


def test_checkpoints_are_called_as_in_the_hosts_list(host: A1111Host, fake: Any, tmp_path: Path) -> None:
    for name in ("sub/ink.safetensors", "pastel.safetensors", "pastel.ckpt"):
        checkpoint = Info(str(tmp_path / name))
        checkpoint.name = name
        fake.sd_models.checkpoints_list[name] = checkpoint
    names = [checkpoint.name for checkpoint in host.checkpoints()]
    assert names == ["ink", "sub/ink", "pastel.safetensors", "pastel.ckpt"]
    loaded = host.loaded().checkpoint
    assert loaded is not None
    assert loaded.name == "ink"


def test_every_name_that_the_host_takes_is_taken(host: A1111Host, fake: Any, tmp_path: Path) -> None:
    """The ids of A1111's CheckpointInfo (modules/sd_models.py, 82a973c), of two files of one name."""
    fake.sd_models.checkpoints_list.clear()
    for folder, digit in (("sub", "1"), ("other", "2")):
        listed = Info(str(tmp_path / folder / "x.safetensors"))
        listed.name = f"{folder}/x.safetensors"
        listed.model_name, listed.hash, listed.sha256 = f"{folder}_x", digit * 8, digit * 64
        listed.shorthash = listed.sha256[:10]
        listed.title = f"{listed.name} [{listed.shorthash}]"
        listed.ids = [
            listed.hash,
            listed.model_name,
            listed.title,
            listed.name,
            "x",
            f"{listed.name} [{listed.hash}]",
        ]
        listed.ids += [listed.shorthash, listed.sha256, f"x [{listed.shorthash}]"]
        fake.sd_models.checkpoints_list[listed.title] = listed
    checkpoints = host.checkpoints()
    first = [str(name) for name in next(iter(fake.sd_models.checkpoints_list.values())).ids if name != "x"]
    spelled = [
        "sub/x",
        "sub\\x.safetensors",
        "sub\\x.safetensors [1111111111]",
        f"[{'1' * 10}]",
        "x [11111111]",
    ]
    for name in (*first, *spelled):
        assert find_file(checkpoints, name).path == tmp_path / "sub" / "x.safetensors", name
    with pytest.raises(HostError, match="fits 2 files"):
        find_file(checkpoints, "x")
    with pytest.raises(HostError, match="holds something else"):
        find_file(checkpoints, "sub/x [2222222222]")


def test_a_checkpoint_that_a_person_sets_is_heard_of_until_undone(host: A1111Host, fake: Any) -> None:
    heard: list[str] = []
    label = SimpleNamespace(onchange=lambda: heard.append("host"))
    fake.shared.opts.data_labels = {"sd_model_checkpoint": label}
    own = label.onchange
    undo = host.on_checkpoint_option(lambda: heard.append("we"))
    label.onchange()
    assert heard == ["host", "we"]
    undo()
    assert label.onchange is own
