"""Old spellings of tensor names, and what they become: pure functions on names and shapes.

Loaders agree on the meaning of these spellings: AUTOMATIC1111 (modules/sd_models.py,
`get_state_dict_from_checkpoint`) knows those of its own layouts, ComfyUI (comfy/model_detection.py,
comfy/supported_models.py) the bare files, the prefixes and the norms. A part is only recognised by a tensor
that no other kind of file has, so that a LoRA or a T5 text encoder, whose names also begin with
`double_blocks.` or `encoder.`, is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from lib_merge.checkpoint.openclip import open_clip_name
from lib_merge.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]
Same = Callable[[str, str], bool]

UNET = "model.diffusion_model."
VAE = "first_stage_model."
AIO_VAE = "vae."  # where ComfyUI looks for the VAE of Flux and the later transformers
CLIP = "cond_stage_model.transformer."
SGM_CLIP = "conditioner.embedders.0.model."

SD2_WIDTH = 1024  # of OpenCLIP ViT-H's ln_final; the SDXL refiner keeps ViT-bigG (1280) at the same name

# What torch.compile, DataParallel, FSDP and their kin put between the names of modules.
WRAPPERS = frozenset(
    {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
)
# Where the parts of a whole checkpoint begin; a trainer's own class may stand before each of them.
ROOTS = (UNET, VAE, "cond_stage_model.", "conditioner.embedders.", "text_encoders.")
# One tensor of each network that tells it, below whatever prefix it was saved with.
UNET_SIGN = "input_blocks.0.0.weight"
FLUX_SIGN = "double_blocks.0.img_attn.norm.key_norm.scale"
SD3_SIGN = "joint_blocks.0.context_block.attn.qkv.weight"
NETWORK_SIGNS = (UNET_SIGN, FLUX_SIGN, SD3_SIGN)
VAE_SIGNS = ("decoder.conv_in.weight", "encoder.conv_in.weight")
OTHER_NETWORKS = re.compile(r"(?:^|\.)(?:control|adapter|low_scale_model)")  # have a U-Net's or a VAE's names

FLUX_NORM = re.compile(r"((?:double|single)_blocks\.\d+\..*(?:query|key)_norm)\.weight$")
CLIP_PLACE = r"(cond_stage_model|conditioner\.embedders\.\d+|text_encoders\.clip_\w+)"
FLAT_CLIP = re.compile(CLIP_PLACE + r"\.transformer\.(embeddings|encoder|final_layer_norm)\.")
BARE_CLIP = re.compile(r"(text_encoders\.clip_\w+)\.(text_model|text_projection)\.")


def _without_wrappers(name: str) -> str:
    parts = name.split(".")
    return ".".join(part for part in parts if part not in WRAPPERS)


def _without_state_dict(name: str) -> str:
    return name.removeprefix("state_dict.")


def _flux_norm(name: str) -> str:
    """ComfyUI calls the norms of Flux `.weight` since February 2026, and saves them so; others `.scale`."""
    return FLUX_NORM.sub(r"\1.scale", name)


def _clip_with_model(name: str) -> str:
    """With `transformer.` and `text_model.`, which NAI and transformers before 4.31 and since 5 leave out."""
    name = BARE_CLIP.sub(r"\1.transformer.\2.", name)
    return FLAT_CLIP.sub(r"\1.transformer.text_model.\2.", name)


# Applied to every name, whatever else is in the file.
ALWAYS = (_without_wrappers, _without_state_dict, _flux_norm)


@dataclass(frozen=True)
class Spelling:
    """One old way of spelling names.

    title    what files are spelled so
    renames  old prefix -> new prefix; the first that fits a name counts
    applies  whether a file is spelled so, told from all its names and shapes
    """

    title: str
    renames: tuple[tuple[str, str], ...]
    applies: Callable[[Shapes], bool]

    def rename(self, name: str) -> str:
        """The name in the new spelling; the same name where no prefix fits."""
        for old, new in self.renames:
            if name.startswith(old):
                return new + name.removeprefix(old)
        return name


def _under(target: str, *prefixes: str) -> tuple[tuple[str, str], ...]:
    return tuple((prefix, target + prefix) for prefix in prefixes)


def _is_sd2_in_sgm_layout(shapes: Shapes) -> bool:
    alone = not any("conditioner.embedders.1." in name for name in shapes)
    return alone and shapes.get(SGM_CLIP + "ln_final.weight") == (SD2_WIDTH,)


def _is_bare_unet(shapes: Shapes) -> bool:
    control_net = any(name.startswith(("zero_convs.", "input_hint_block.")) for name in shapes)
    return UNET_SIGN in shapes and not control_net


def _is_bare_vae(shapes: Shapes) -> bool:
    return any(sign in shapes for sign in VAE_SIGNS)


def _is_bare_flux(shapes: Shapes) -> bool:
    return FLUX_SIGN in shapes


def _is_bare_sd3(shapes: Shapes) -> bool:
    return SD3_SIGN in shapes


def _is_flux(shapes: Shapes) -> bool:
    return UNET + FLUX_SIGN in shapes


def _clips_of_forge(shapes: Shapes) -> str:
    """The letters of the text encoders, as far as the file has them under Forge's names for SD and SDXL."""
    others = ("cond_stage_model.", "conditioner.")
    if UNET + UNET_SIGN not in shapes or any(name.startswith(others) for name in shapes):
        return ""
    return "".join(letter for letter in "lgh" if any(name.startswith(_of_forge(letter)) for name in shapes))


def _of_forge(letter: str) -> str:
    return f"text_encoders.clip_{letter}."


def _has_label(shapes: Shapes) -> bool:
    return any(name.startswith(UNET + "label_emb.") for name in shapes)


def _is_forges_sd1(shapes: Shapes) -> bool:
    return _clips_of_forge(shapes) == "l" and not _has_label(shapes)


def _is_forges_sd2(shapes: Shapes) -> bool:
    return _clips_of_forge(shapes) == "h"


def _is_forges_sdxl(shapes: Shapes) -> bool:
    clips = _clips_of_forge(shapes)
    return clips == "lg" or (clips == "l" and _has_label(shapes))


def _is_forges_refiner(shapes: Shapes) -> bool:
    return _clips_of_forge(shapes) == "g"


def _is_not_flux(shapes: Shapes) -> bool:
    return not _is_flux(shapes) and any(AIO_VAE + sign in shapes for sign in VAE_SIGNS)


UNET_PARTS = ("input_blocks.", "middle_block.", "output_blocks.", "time_embed.", "out.", "label_emb.")
VAE_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
FLUX_PARTS = (
    "double_blocks.",
    "single_blocks.",
    "img_in.",
    "txt_in.",
    "time_in.",
    "vector_in.",
    "guidance_in.",
    "final_layer.",
    "distilled_guidance_layer.",
    "double_stream_modulation_img.",
    "double_stream_modulation_txt.",
    "single_stream_modulation.",
)
SD3_PARTS = (
    "joint_blocks.",
    "x_embedder.",
    "context_embedder.",
    "t_embedder.",
    "y_embedder.",
    "pos_embed",
    "final_layer.",
)

# What Forge's text encoders hold and no file of SD or SDXL: these keep their names, and no merge takes them.
NOT_OF_SD = tuple(
    (name, name)
    for name in (
        _of_forge("l") + "logit_scale",
        _of_forge("l") + "transformer.text_projection.",
        _of_forge("g") + "transformer.text_model.embeddings.position_ids",
        _of_forge("h") + "transformer.text_model.embeddings.position_ids",
    )
)

# Applied from top to bottom, each to the names that the one before has left.
SPELLINGS = (
    Spelling("a U-Net alone", _under(UNET, *UNET_PARTS), _is_bare_unet),
    Spelling("a VAE alone", _under(VAE, *VAE_PARTS), _is_bare_vae),
    Spelling("a Flux transformer alone", _under(UNET, *FLUX_PARTS), _is_bare_flux),
    Spelling("an SD3 transformer alone", _under(UNET, *SD3_PARTS), _is_bare_sd3),
    Spelling("SD2 in SGM layout (SD-Turbo)", ((SGM_CLIP, "cond_stage_model.model."),), _is_sd2_in_sgm_layout),
    Spelling("Flux with its VAE under SD's name", ((VAE, AIO_VAE),), _is_flux),
    Spelling("SD1 of Forge", (*NOT_OF_SD, (_of_forge("l"), "cond_stage_model.")), _is_forges_sd1),
    Spelling("SD2 of Forge", (*NOT_OF_SD, (_of_forge("h"), "cond_stage_model.model.")), _is_forges_sd2),
    Spelling(
        "SDXL of Forge",
        (
            *NOT_OF_SD,
            (_of_forge("l"), "conditioner.embedders.0."),
            (_of_forge("g"), "conditioner.embedders.1.model."),
        ),
        _is_forges_sdxl,
    ),
    Spelling("SDXL's refiner of Forge", (*NOT_OF_SD, (_of_forge("g"), SGM_CLIP)), _is_forges_refiner),
    Spelling("others with their VAE under Flux's name", ((AIO_VAE, VAE),), _is_not_flux),
)

# Diffusers keeps each part of a model in a file of its own, under names that no WebUI loads.
DIFFUSERS = (
    "down_blocks.",
    "mid_block.",
    "up_blocks.",
    "encoder.down_blocks.",
    "decoder.up_blocks.",
    "transformer_blocks.",
    "single_transformer_blocks.",
)
DIFFUSERS_PLACES = tuple(root + start for root in (UNET, VAE, AIO_VAE) for start in DIFFUSERS[:5])
# Tensors of models whose native names are those that diffusers uses: Qwen-Image, LTX-Video, Lens, Mage-Flow.
NATIVE = ("txt_norm.weight", "patchify_proj.weight", "transformer_blocks.0.img_mlp.w1.weight")


def canonical_names(shapes: Shapes, *, where: str = "", same: Same | None = None) -> dict[str, str]:
    """Stored name -> canonical name, for the names of a file, in the file's order.

    same   whether two stored tensors hold the same numbers: where two names mean the same tensor and are
           equal one of them is left out; without it, and where they differ, the file is refused
    where  the file, for the message
    Refuses files that no merge can use (Diffusers' parts) too.
    """
    _refuse_diffusers(shapes, DIFFUSERS, where)
    names: dict[str, str] = {}
    for name in shapes:
        now = name
        for rewrite in ALWAYS:
            now = rewrite(now)
        names[name] = now
    for step in (_without_outer, _network_in_place, _vae_in_place, _spelled):
        names = step(names, shapes)
    names = {stored: open_clip_name(_clip_with_model(name)) for stored, name in names.items()}
    _refuse_diffusers(names.values(), DIFFUSERS_PLACES, where)
    return _without_doubles(names, where, same)


def _without_outer(names: Mapping[str, str], shapes: Shapes) -> dict[str, str]:
    """Without what a trainer's class put before the roots: `model.model.diffusion_model.` and the like."""
    prefixes: list[tuple[str, str]] = []
    for root in ROOTS:
        outer = {name[:start] for name in names.values() if (start := _place_of(root, name)) >= 0}
        if len(outer) == 1 and (prefix := outer.pop()) and not OTHER_NETWORKS.search(prefix):
            # what stands beside the U-Net (averages, markers) is below the same prefix
            prefixes.append((prefix, prefix if root == UNET else prefix + root))
    found: dict[str, str] = {}
    for stored, name in names.items():
        fitting = (prefix for prefix, start in prefixes if name.startswith(start))
        found[stored] = name.removeprefix(next(fitting, ""))
    return found


def _place_of(root: str, name: str) -> int:
    """Where a root begins in a name, at the beginning of one of its parts; -1 where it does not."""
    if name.startswith(root):
        return 0
    place = name.find("." + root)
    return place + 1 if place >= 0 else -1


def _network_in_place(names: Mapping[str, str], shapes: Shapes) -> dict[str, str]:
    """The U-Net or transformer under its canonical prefix, whatever it was saved under."""
    return _moved(names, NETWORK_SIGNS, (UNET,), UNET)


def _vae_in_place(names: Mapping[str, str], shapes: Shapes) -> dict[str, str]:
    """The same for the VAE."""
    return _moved(names, VAE_SIGNS, (VAE, AIO_VAE), VAE)


def _moved(
    names: Mapping[str, str], signs: tuple[str, ...], known: tuple[str, ...], target: str
) -> dict[str, str]:
    """What is told by one of the signs below one unknown prefix, put below `target`."""
    found = {name.removesuffix(sign) for name in names.values() for sign in signs if _ends(name, sign)}
    found = {prefix for prefix in found if not OTHER_NETWORKS.search(prefix)}
    if len(found) != 1 or found & {"", *known}:
        return dict(names)
    (prefix,) = found
    return {
        stored: target + name.removeprefix(prefix) if name.startswith(prefix) else name
        for stored, name in names.items()
    }


def _ends(name: str, sign: str) -> bool:
    return name == sign or name.endswith("." + sign)


def _spelled(names: Mapping[str, str], shapes: Shapes) -> dict[str, str]:
    """Every old spelling that the file has turned into the new one."""
    found = dict(names)
    for spelling in SPELLINGS:
        if spelling.applies({now: shapes[stored] for stored, now in found.items()}):
            found = {stored: spelling.rename(now) for stored, now in found.items()}
    return found


def _refuse_diffusers(names: Iterable[str], starts: tuple[str, ...], where: str) -> None:
    names = tuple(names)
    if any(_ends(name, sign) for name in names for sign in NATIVE):
        return
    for name in names:
        if name.startswith(starts):
            raise CheckpointError(
                f"this is one part of a model in Diffusers layout, not a checkpoint: it has '{name}'",
                where=where,
                hint="use the single-file checkpoint of the same model",
            )


def _without_doubles(names: Mapping[str, str], where: str, same: Same | None) -> dict[str, str]:
    """Each canonical name once; two tensors for one name must be equal."""
    first: dict[str, str] = {}
    for stored, name in _canonical_first(names):
        if name not in first:
            first[name] = stored
        elif same is None or not same(first[name], stored):
            pair = sorted((first[name], stored), key=list(names).index)
            raise CheckpointError(
                f"two tensors of this file mean the same one: '{pair[0]}' and '{pair[1]}'",
                where=where,
                hint="the file is a mixture of two spellings; make it again, or use another copy",
            )
    kept = set(first.values())
    return {stored: name for stored, name in names.items() if stored in kept}


def _canonical_first(names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Names and what they become, those first that are canonical already."""
    yield from ((stored, name) for stored, name in names.items() if stored == name)
    yield from ((stored, name) for stored, name in names.items() if stored != name)
