"""Text encoder and VAE where a recipe chooses a file for them, and problems with such choices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lib_merge.architectures import Component, Family, Identity, Role, component_of, identify, role_of
from lib_merge.architectures.keys import VAE_DECODER_CONV_IN, VAE_PREFIXES
from lib_merge.checkpoint import Header
from lib_merge.errors import FamilyError, MergeError, RecipeError
from lib_merge.plan.amounts import vae_source
from lib_merge.recipe import BLEND, KEEP_A, NONE, TAKE_B, VAE_CHOICES, Recipe
from lib_merge.recipe.options import TEXT_ENCODER_OPTION, VAE_OPTION

COMPONENT_FLAGS = {Component.TEXT: TEXT_ENCODER_OPTION.flag, Component.VAE: VAE_OPTION.flag}
COMPONENT_NAMES = {Component.TEXT: "text encoder", Component.VAE: "VAE"}


def has_component(family: Family, header: Header, part: Component) -> bool:
    """Whether a file contains weights of a component of this family."""
    return any(
        component_of(family, key) is part and role_of(family, key) is Role.WEIGHT for key in header.tensors
    )


def with_family_vae_prefix(family: Family, header: Header) -> Header:
    """The header with its VAE renamed to the key prefix that the family uses for it."""
    prefixes = {prefix for prefix in VAE_PREFIXES if any(key.startswith(prefix) for key in family.shapes)}
    other = next((prefix for prefix in VAE_PREFIXES if prefix not in prefixes), "")
    if len(prefixes) != 1 or not other:
        return header
    (own,) = prefixes
    renamed = {own + key.removeprefix(other): key for key in header.tensors if key.startswith(other)}
    if not renamed or any(key in header.tensors for key in renamed):
        return header
    others = {key: info for key, info in header.tensors.items() if not key.startswith(other)}
    tensors = others | {key: header.tensors[stored] for key, stored in renamed.items()}
    return replace(header, tensors=tensors, aliases={**header.aliases, **renamed})


def component_problems(
    recipe: Recipe, base: int, identities: Sequence[Identity], sources: Sequence[Header], names: Sequence[str]
) -> Iterator[MergeError]:
    """Choices that no file can fulfil: a component that a file does not contain, a VAE that does not fit."""
    family = identities[base].family
    if recipe.vae and recipe.vae not in VAE_CHOICES:
        yield from _problems_of_vae_file(identities[base], sources[-1])
    yield from _problems_of_part(recipe, base, family, sources, names, Component.TEXT, recipe.text_encoder)
    yield from _problems_of_part(recipe, base, family, sources, names, Component.VAE, recipe.vae)
    if recipe.ema and not any(identity.ema for identity in identities):
        what = "the U-Net is to be read from EMA weights, and no model contains any"
        yield RecipeError(
            what, hint="leave out --ema use, or use the full file of a model, not the pruned one"
        )
    yield from _problems_of_unrelated_models(recipe, base, family, sources, names)


def _problems_of_part(
    recipe: Recipe,
    base: int,
    family: Family,
    sources: Sequence[Header],
    names: Sequence[str],
    part: Component,
    choice: str,
) -> Iterator[MergeError]:
    """A chosen text encoder or VAE that the file does not contain."""
    others = [n for n in range(len(recipe.ingredients)) if n != base]
    chosen = {KEEP_A: [base], TAKE_B: others[:1], BLEND: [base, *others]}.get(choice, [])
    having = [n for n in range(len(recipe.ingredients)) if has_component(family, sources[n], part)]
    missing = [n for n in chosen if n not in having]
    if not missing or (choice == BLEND and base in having and len(having) > 1):
        return
    flag, word = COMPONENT_FLAGS[part], COMPONENT_NAMES[part]
    hint = f"leave out {flag}"
    if base in having:
        hint = f"use {flag} a for that of {names[base]}"
    elif others and others[0] in having:
        hint = f"use {flag} b for that of {names[others[0]]}"
    name = names[missing[0]]
    yield FamilyError(
        f"{flag} {choice}: {name} contains no {word}", where=str(sources[missing[0]].path), hint=hint
    )


def _problems_of_vae_file(identity: Identity, header: Header) -> Iterator[MergeError]:
    """A VAE file that contains no VAE, or one that does not fit the family's latents."""
    family, where = identity.family, str(header.path)
    hint = f"choose a VAE made for {family.title}, or leave out --vae to keep A's"
    try:
        own = identify(header.tensors, metadata=header.metadata, where=where)
    except MergeError as problem:
        yield type(problem)(f"the VAE file contains no usable VAE: {problem.what}", where=where, hint=hint)
        return
    if not has_component(family, header, Component.VAE):
        yield FamilyError(f"the VAE file contains no VAE: it is {own.title}", where=where, hint=hint)
    elif not own.is_vae_only and own.family.latent_space != family.latent_space:
        what = f"the VAE file is {own.title}, whose VAE does not fit {family.title}"
        yield FamilyError(what, where=where, hint=hint)
    elif (count := _channels(header)) and (expected := _family_channels(family)) and count != expected:
        what = f"the VAE file has {count} latent channels, and {family.title} has {expected}"
        yield FamilyError(what, where=where, hint=hint)


def _channels(header: Header) -> int:
    """The latent channels of a VAE, 0 where its decoder has no first convolution."""
    keys = (prefix + VAE_DECODER_CONV_IN for prefix in VAE_PREFIXES)
    info = next((header.tensors[key] for key in keys if key in header.tensors), None)
    return info.shape[1] if info is not None and len(info.shape) > 1 else 0


def _family_channels(family: Family) -> int:
    """The latent channels of the family's VAE, 0 where they are not known."""
    keys = (prefix + VAE_DECODER_CONV_IN for prefix in VAE_PREFIXES)
    return next((family.shapes[key][1] for key in keys if key in family.shapes), 0)


def _problems_of_unrelated_models(
    recipe: Recipe, base: int, family: Family, sources: Sequence[Header], names: Sequence[str]
) -> Iterator[MergeError]:
    """Models that share no key with A, so that nothing of them can be merged."""
    own = {key for key in sources[base].tensors if role_of(family, key) is Role.WEIGHT}
    used = {name for step in recipe.steps for name in step.inputs}
    explicit = {Component.TEXT: recipe.text_encoder, Component.VAE: vae_source(recipe)}
    from_b = [part for part, choice in explicit.items() if choice == TAKE_B]
    first = next((n for n in range(len(recipe.ingredients)) if n != base), base)
    for number, ingredient in enumerate(recipe.ingredients):
        if number == base or ingredient.name not in used or not own.isdisjoint(sources[number].tensors):
            continue
        if number == first and any(has_component(family, sources[number], part) for part in from_b):
            continue
        parts = [
            part
            for part in COMPONENT_FLAGS
            if number == first and has_component(family, sources[number], part)
        ]
        yield FamilyError(
            f"{names[number]} has no tensor in common with {names[base]}, so nothing of it can be merged",
            where=str(sources[number].path),
            hint=" ".join(f"{COMPONENT_FLAGS[part]} b" for part in parts) or "leave out that model",
        )


def is_from_other_file(recipe: Recipe, part: Component | None) -> bool:
    """Whether a file other than A provides all of this component."""
    if part is Component.TEXT:
        return recipe.text_encoder == TAKE_B
    return part is Component.VAE and vae_source(recipe) not in (KEEP_A, BLEND, NONE)
