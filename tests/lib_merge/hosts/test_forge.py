"""The traps of a live swap in Forge and its heirs, on a small model with the hosts' objects.

tests/webui has the real ones.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lib_merge.hosts import forge, forge_model
from lib_merge.hosts.forge import ForgeHost
from lib_merge.hosts.host import HostError
from lib_merge.hosts.reforge import ClassicHost, ReForgeHost
from lib_merge.live import MergeIdent
from lib_merge.picture import DrawSettings
from tests.lib_merge.hosts.forge_double import Caches, Engine, encoder, installed, t5, tree
from tests.support.checkpoint_info import Info

IDENT = MergeIdent("ink + pastel (unsaved)", "merge-12345678", "merge-desk recipe 2\n")
UNET, VAE = "model.diffusion_model.conv.weight", "first_stage_model.decoder.weight"
CLIP_L = "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight"
CLIP_G = "conditioner.embedders.1.model."
IN_PROJ, PROJECTION = f"{CLIP_G}transformer.resblocks.0.attn.in_proj_weight", f"{CLIP_G}text_projection"


@pytest.fixture
def info(tmp_path: Path) -> Info:
    return Info(str(tmp_path / "ink.safetensors"))


@pytest.fixture(params=["loader", "comfy"])
def fake(request: pytest.FixtureRequest, info: Info, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return installed(monkeypatch, info, Engine(info, comfy=request.param == "comfy"))


@pytest.fixture
def host(fake: SimpleNamespace) -> ForgeHost:
    return ForgeHost()


@pytest.fixture
def older(info: Info, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return installed(monkeypatch, info, Engine(info, comfy=True))


# --- names ---


def test_parameters_have_the_files_names(host: ForgeHost) -> None:
    keys = set(host.model().keys())
    assert {UNET, VAE, CLIP_L, IN_PROJ, PROJECTION, f"{CLIP_G}logit_scale"} <= keys
    assert not any(key.startswith("conditioner.embedders.0.") and "projection" in key for key in keys)


def test_query_key_and_value_are_thirds_and_the_projection_is_transposed(
    host: ForgeHost, fake: SimpleNamespace
) -> None:
    transformer = fake.model.forge_objects_original.clip.cond_stage_model.clip_g.transformer
    attention = transformer.text_model.encoder.layers[0].self_attn
    places = host.model().places(IN_PROJ)
    assert [place.start for place in places] == [0, 36, 72]
    held = [place.tensor for place in places]
    assert all(a is b.weight for a, b in zip(held, [attention.q_proj, attention.k_proj, attention.v_proj]))  # noqa: B905
    (place,) = host.model().places(PROJECTION)
    assert place.tensor.shape == (6, 7)
    assert torch.equal(place.tensor, transformer.text_projection.weight.t())


def test_a_parameter_that_the_host_replaces_is_found_again(host: ForgeHost, fake: SimpleNamespace) -> None:
    model = host.model()
    assert model.places(UNET)[0].tensor is fake.model.unet.conv.weight
    fake.model.unet.conv.weight = nn.Parameter(torch.zeros(3, 3))
    assert model.places(UNET)[0].tensor is fake.model.unet.conv.weight


def test_text_encoders_of_each_architecture_have_their_prefix(host: ForgeHost, fake: SimpleNamespace) -> None:
    fake.model.is_sd1 = fake.model.is_sd2 = True
    clip = fake.model.forge_objects_original.clip
    for parts, prefix in (
        ({"clip_l": encoder(4)}, "cond_stage_model.transformer.text_model."),
        ({"clip_h": encoder(4)}, "cond_stage_model.model.transformer.resblocks.0."),
        ({"clip_g": encoder(4)}, "conditioner.embedders.0.model.transformer.resblocks.0."),
        ({"clip_l": encoder(4), "t5xxl": t5()}, "text_encoders.clip_l.transformer.text_model."),
        ({"clip_l": encoder(4), "t5xxl": t5()}, "text_encoders.t5xxl.transformer.encoder."),
    ):
        clip.cond_stage_model = tree(**parts)
        assert any(key.startswith(prefix) for key in host.model().keys())  # noqa: SIM118  a protocol


def test_fluxs_parameters_have_the_names_of_files_and_its_norms_the_common_one(
    host: ForgeHost, fake: SimpleNamespace
) -> None:
    clip, unet = fake.model.forge_objects_original.clip, fake.model.unet
    clip.cond_stage_model = tree(clip_l=encoder(4), t5xxl=t5())
    norm = nn.LayerNorm(2, bias=False)  # Neo's have a weight where files have a scale
    unet.single_blocks = nn.ModuleList([tree(norm=tree(key_norm=norm))])
    keys = set(host.model().keys())
    assert {
        "model.diffusion_model.single_blocks.0.norm.key_norm.scale",
        "vae.decoder.weight",
        "text_encoders.clip_l.transformer.text_projection.weight",
    } <= keys
    assert not any(key.startswith("first_stage_model.") for key in keys)


@pytest.mark.parametrize("texts", [["t5xxl"], ["clip_l", "clip_g", "t5xxl"], ["qwen3"]])
def test_chroma_sd3_and_others_are_refused(host: ForgeHost, fake: SimpleNamespace, texts: list[str]) -> None:
    clip = fake.model.forge_objects_original.clip
    clip.cond_stage_model = tree(**{name: encoder(4) for name in texts})
    assert "architecture" in host.loaded().unavailable_reason


@pytest.mark.parametrize("kind", [ReForgeHost, ClassicHost])
def test_flux_is_refused_where_it_was_not_compared(kind: type[ReForgeHost], older: SimpleNamespace) -> None:
    clip = older.model.forge_objects_original.clip
    clip.cond_stage_model = tree(clip_l=encoder(4), t5xxl=t5())
    assert "architecture" in kind().loaded().unavailable_reason


# --- LoRAs, names, caches ---


def test_loras_are_taken_out_before_the_first_write(host: ForgeHost, fake: SimpleNamespace) -> None:
    objects, model = fake.model.forge_objects_original, host.model()
    comfy = hasattr(objects.unet, "backup")
    patchers = (objects.unet, objects.clip.patcher, objects.vae.patcher)
    if comfy:
        model.prepare([UNET])
        assert not fake.unloads
        patchers[1].backup["weight"] = 1
    else:
        patchers[1].lora_loader.backup["weight"] = 1
    assert host.live_model(fake.model).has_lora(UNET)
    model.prepare([UNET])
    assert len(fake.unloads) == comfy
    assert comfy or all(set(map(str, patcher.lora_loader.refreshed)) == {"{}"} for patcher in patchers)
    assert fake.model.current_lora_hash is None


def test_the_merge_is_pinned_to_its_checkpoint_and_its_name_is_taken_back(
    host: ForgeHost, fake: SimpleNamespace, info: Info
) -> None:
    token = host.model().token()
    host.model().commit(IDENT, [UNET])
    assert host.live_ident() == IDENT
    assert host.infotext_model() == (IDENT.name, IDENT.id)
    assert host.merged_checkpoint == Path(info.filename)
    assert host.model().token() is not token
    assert Caches.cached_c == [None, None, None]
    host.ensure_loaded()
    assert fake.loads == []
    host.model().commit(None, [UNET])
    assert host.live_ident() is None
    assert fake.model.sd_checkpoint_info is info
    assert fake.opts.data["sd_checkpoint_hash"] == info.sha256


def test_a_refiner_that_neo_writes_into_the_model_makes_the_merge_count_as_lost(
    host: ForgeHost, fake: SimpleNamespace, info: Info
) -> None:
    host.model().commit(IDENT, [UNET])
    assert fake.model.sd_checkpoint_info.filename == info.filename  # which Neo reads after the refiner
    token = host.model().token()
    job = SimpleNamespace(refiner_checkpoint_info=Info("pastel.safetensors"))
    host.separate_checkpoints(job)
    assert host.model().token() is token
    fake.opts.refiner_fast_sd = True
    host.separate_checkpoints(job)
    assert host.model().token() is not token


# --- loading ---


def test_a_selected_checkpoint_is_next_until_it_is_loaded(host: ForgeHost, fake: SimpleNamespace) -> None:
    assert host.loaded().next_checkpoint is None
    fake.opts.sd_model_checkpoint = "pastel.safetensors"
    loaded = host.loaded()
    assert loaded.checkpoint is not None
    assert loaded.next_checkpoint is not None
    assert (loaded.checkpoint.name, loaded.next_checkpoint.name) == ("ink", "pastel")
    fake.data.sd_model = SimpleNamespace(cond_stage_model=None)  # what Forge has before the first picture
    loaded = host.loaded()
    assert loaded.checkpoint is None
    assert loaded.next_checkpoint is not None
    with pytest.raises(HostError, match="no checkpoint is loaded yet"):
        host.model()


def test_after_a_failed_load_the_checkpoint_before_it_is_loaded_again(
    host: ForgeHost, fake: SimpleNamespace, info: Info
) -> None:
    fake.data.sd_model = None
    host.ensure_loaded()
    assert fake.loads == [info.filename]


def test_a_load_that_fails_names_another_checkpoint(
    host: ForgeHost, fake: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ValueError("not a model")

    monkeypatch.setattr(fake.modules["sd_models"], "forge_model_reload", broken)
    with pytest.raises(HostError, match="could not load its checkpoint") as raised:
        host.ensure_loaded()
    assert "another checkpoint" in raised.value.hint


def test_loading_again_reads_the_file(host: ForgeHost, fake: SimpleNamespace, info: Info) -> None:
    host.load()
    assert fake.loads == [info.filename]


# --- what cannot be written ---


class Layout(torch.Tensor):
    _layout_cls = "TensorCoreFP8Layout"


QUANTISED: dict[str, Callable[[nn.Linear], object]] = {
    "GGUF": lambda layer: setattr(layer.weight, "gguf_cls", object()),
    "nf4": lambda layer: setattr(layer.weight, "bnb_quantized", True),
    "nf4 before the GPU": lambda layer: setattr(layer.weight, "bnb_quantized", False),
    "mixed precision": lambda layer: setattr(layer, "quant_format", "float8_e4m3fn"),
    "Neo's int8": lambda layer: setattr(layer, "_is_quantized", True),
    "scaled fp8": lambda layer: setattr(layer, "scale_weight", torch.ones(())),
    "a layout": lambda layer: layer.register_parameter(
        "weight", nn.Parameter(torch.zeros(3, 3).as_subclass(Layout), requires_grad=False)
    ),
    "integers": lambda layer: layer.register_parameter(
        "weight", nn.Parameter(torch.zeros(3, 3, dtype=torch.int8), requires_grad=False)
    ),
    "no numbers": lambda layer: layer.to("meta"),
}


@pytest.mark.parametrize("kind", QUANTISED)
def test_quantised_weights_are_refused_with_the_reason(
    host: ForgeHost, fake: SimpleNamespace, kind: str
) -> None:
    QUANTISED[kind](fake.model.unet.conv)
    assert "quantised" in host.loaded().unavailable_reason
    with pytest.raises(HostError, match="quantised"):
        host.model()


def test_eight_bit_floats_without_scales_are_plain_numbers(host: ForgeHost, fake: SimpleNamespace) -> None:
    fake.model.unet.conv.weight = nn.Parameter(torch.zeros(3, 3).to(torch.float8_e4m3fn), requires_grad=False)
    assert host.loaded().unavailable_reason == ""


def test_an_architecture_whose_names_were_not_compared_is_refused(
    host: ForgeHost, fake: SimpleNamespace
) -> None:
    fake.model.is_sdxl = False
    assert "architecture" in host.loaded().unavailable_reason


# --- the user's own modules ---


def test_places_that_the_users_own_modules_have_taken_are_left_alone(
    host: ForgeHost, fake: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forge, "ENCODER_WIDTHS", (4, 6))
    vae, text = tmp_path / "grey.safetensors", tmp_path / "clip_g.safetensors"
    save_file({"decoder.conv_in.weight": torch.zeros(1)}, vae)
    save_file({"text_model.encoder.layers.0.layer_norm1.bias": torch.zeros(6)}, text)
    parameters = fake.data.forge_loading_parameters
    parameters["additional_modules"] = [str(vae)]
    assert [len(host.model().places(key)) for key in (UNET, VAE, CLIP_L, IN_PROJ)] == [1, 0, 1, 3]
    parameters["additional_modules"] = [str(text)]
    assert [len(host.model().places(key)) for key in (UNET, VAE, CLIP_L, IN_PROJ)] == [1, 1, 1, 0]
    parameters["additional_modules"] = [str(tmp_path / "unreadable.gguf")]
    assert [len(host.model().places(key)) for key in (UNET, VAE, CLIP_L, IN_PROJ)] == [1, 0, 0, 0]


def test_a_t5_of_the_users_own_is_left_alone(host: ForgeHost, fake: SimpleNamespace, tmp_path: Path) -> None:
    fake.model.forge_objects_original.clip.cond_stage_model = tree(clip_l=encoder(4), t5xxl=t5())
    own, parameters = tmp_path / "t5xxl_fp16.safetensors", fake.data.forge_loading_parameters
    save_file({"encoder.block.0.layer.0.SelfAttention.k.weight": torch.zeros(1)}, own)
    in_t5 = "text_encoders.t5xxl.transformer.encoder.final_layer_norm.weight"
    in_clip = "text_encoders.clip_l.transformer.text_model.final_layer_norm.weight"
    assert [len(host.model().places(key)) for key in (in_t5, in_clip, "vae.decoder.weight")] == [1, 1, 1]
    parameters["additional_modules"] = [str(own)]
    assert [len(host.model().places(key)) for key in (in_t5, in_clip, "vae.decoder.weight")] == [0, 1, 1]
    parameters["additional_modules"] = [str(tmp_path / "unreadable.gguf")]
    assert [len(host.model().places(key)) for key in (in_t5, in_clip, "vae.decoder.weight")] == [0, 0, 0]


# --- jobs and the page ---


def test_a_refiner_that_is_the_checkpoint_under_the_merge_is_loaded_from_its_file(
    host: ForgeHost, fake: SimpleNamespace, info: Info
) -> None:
    job = SimpleNamespace(
        refiner_checkpoint_info=info, hr_checkpoint_info=info, hr_checkpoint_name=info.title
    )
    host.separate_checkpoints(job)
    assert job.refiner_checkpoint_info is info
    host.model().commit(IDENT, [UNET])
    host.separate_checkpoints(job)
    other = job.refiner_checkpoint_info
    aliases = fake.modules["sd_models"].checkpoint_aliases
    for title in (other.short_title, job.hr_checkpoint_name):
        assert repr(aliases[title]) == repr(other)
    assert other.short_title.strip() == info.short_title
    assert repr(other) != repr(info)
    assert Path(other.filename) == Path(info.filename)


def test_a_jobs_own_checkpoint_is_no_choice_of_the_user(host: ForgeHost, fake: SimpleNamespace) -> None:
    chosen: list[int] = []
    undo = host.on_checkpoint_option(lambda: chosen.append(1))
    label = fake.opts.data_labels["sd_model_checkpoint"]
    fake.modules["shared"].state.job = "scripts_txt2img"
    label.onchange()
    assert not chosen
    fake.modules["shared"].state.job = ""
    label.onchange()
    assert chosen == [1]
    undo()
    assert label.onchange is None


def test_the_list_of_checkpoints_is_found_by_the_button_behind_it(
    host: ForgeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    dropdown = SimpleNamespace(select=lambda then, **more: calls.append(("list", then)))
    cards = SimpleNamespace(click=lambda then, js, **more: calls.append(("cards", then)))
    monkeypatch.setattr(forge, "main_entry", lambda: SimpleNamespace(ui_checkpoint=dropdown))
    then = calls.count
    listen = host.checkpoint_listener(then)
    listen(SimpleNamespace(), "setting_sd_model_checkpoint")
    assert calls == []
    listen(SimpleNamespace(), "forge_refresh_checkpoint")
    listen(cards, "change_checkpoint")
    assert calls == [("list", then), ("cards", then)]


@pytest.mark.parametrize("kind", [ReForgeHost, ClassicHost])
def test_reforge_and_classic_have_the_list_of_automatic1111(kind: type[ReForgeHost]) -> None:
    calls: list[object] = []
    dropdown = SimpleNamespace(select=lambda then, **more: calls.append(then))
    then = calls.count
    kind().checkpoint_listener(then)(dropdown, "setting_sd_model_checkpoint")
    assert calls == [then]


# --- reForge ---


def test_reforge_gives_no_resident_merge_out_as_its_checkpoint(older: SimpleNamespace, info: Info) -> None:
    host = ReForgeHost()
    host.model().commit(IDENT, [UNET])
    host.release_unused()
    assert older.data.loaded_sd_models == [older.model]
    older.data.sd_model = other = Engine(info, comfy=True)
    older.data.loaded_sd_models.append(other)
    host.release_unused()
    assert older.data.loaded_sd_models == [other]


def test_reforge_leaves_a_vae_and_a_text_encoder_of_the_users_own_alone(older: SimpleNamespace) -> None:
    host, vae = ReForgeHost(), older.modules["sd_vae"]
    vae.loaded_vae_file = "own.safetensors"
    assert host.model().places(VAE) == ()
    vae.base_vae = {"decoder.weight": torch.ones(2, 2)}
    assert host.model().places(VAE)[0].tensor is vae.base_vae["decoder.weight"]
    assert host.model().places(CLIP_L)
    older.opts.sd_text_encoder = "clip_l.safetensors"
    assert host.model().places(CLIP_L) == ()


def test_reforges_own_vae_code_and_empty_prompt_know_the_merge(older: SimpleNamespace) -> None:
    ReForgeHost().model().commit(IDENT, [CLIP_L])
    assert older.modules["sd_vae"].checkpoint_info is older.model.sd_checkpoint_info
    assert older.model.empty == "new"


def test_a_wrapped_embedding_of_reforge_has_the_files_name(older: SimpleNamespace) -> None:
    embeddings = tree(token_embedding=tree(wrapped=nn.Embedding(5, 4)))
    older.model.forge_objects_original.clip.cond_stage_model.clip_l.transformer.text_model.embeddings = (
        embeddings
    )
    key = CLIP_L.replace("final_layer_norm", "embeddings.token_embedding")
    assert ReForgeHost().model().places(key)[0].tensor is embeddings.token_embedding.wrapped.weight


def test_in_classic_only_the_copy_that_draws_knows_of_a_lora(older: SimpleNamespace) -> None:
    host = ClassicHost()
    older.model.forge_objects.unet.backup = {"weight": 1}
    assert not older.model.forge_objects_original.unet.backup
    host.model().prepare([UNET])
    assert older.unloads == [1]


def test_classic_loads_a_file_again_after_its_model_is_gone(
    older: SimpleNamespace, info: Info, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(wanted: Info) -> None:
        assert older.data.sd_model is None
        older.loads.append(wanted.filename)

    monkeypatch.setattr(older.modules["sd_models"], "load_model", load)
    ClassicHost().load()
    assert older.loads == [info.filename]


@pytest.mark.parametrize("name", ["backend.memory_management", "ldm_patched.modules.model_management"])
def test_the_memory_management_is_the_hosts_own(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("lib_merge.hosts.forge_model.has_module", name.__eq__)
    monkeypatch.setattr(importlib, "import_module", lambda module: module)
    assert forge_model.memory_management() == name


def test_reforge_gets_a_list_of_scripts_with_each_picture(older: SimpleNamespace) -> None:
    older.modules["scripts"] = SimpleNamespace(ScriptRunner=lambda: SimpleNamespace(alwayson_scripts=[]))
    job = SimpleNamespace(scripts=None)
    ReForgeHost().complete_job(job)
    assert job.scripts.alwayson_scripts == []


@pytest.mark.parametrize("fields", [{"scheduler": None}, {}])
def test_a_job_names_a_schedule_where_the_host_has_schedules(
    older: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, fields: dict[str, object]
) -> None:
    older.modules["scripts"] = SimpleNamespace(ScriptRunner=SimpleNamespace)
    job = type("Job", (SimpleNamespace,), fields)
    older.modules["processing"].StableDiffusionProcessingTxt2Img = job
    p = ClassicHost()._new_job(DrawSettings(sampler="Euler", scheduler="Karras"))
    assert (p.sampler_name, getattr(p, "scheduler", "")) == ("Euler", "Karras" if fields else "")
