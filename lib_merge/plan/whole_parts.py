"""Parts that a recipe asks for by name, and requests of that kind that nothing fulfils."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lib_merge.architectures import Component, Family, Identity, Role, component_of, identify, role_of
from lib_merge.checkpoint import Header
from lib_merge.errors import FamilyError, MergeError, RecipeError
from lib_merge.plan.amounts import vae_choice
from lib_merge.recipe import BLEND, KEEP_A, NONE, TAKE_B, VAE_WORDS, Recipe

VAES = ("vae.", "first_stage_model.")  # the two prefixes that a VAE may have in a canonical header
FLAGS = {Component.TEXT: "--text-encoder", Component.VAE: "--vae"}
WORDS = {Component.TEXT: "text encoder", Component.VAE: "VAE"}


def holds(family: Family, header: Header, part: Component) -> bool:
    """Whether a file holds weights of a part of this family."""
    return any(
        component_of(family, key) is part and role_of(family, key) is Role.WEIGHT for key in header.tensors
    )


def named_as(family: Family, header: Header) -> Header:
    """A header whose VAE stands under the prefix that the family's files have, whatever its own is."""
    prefixes = {prefix for prefix in VAES if any(key.startswith(prefix) for key in family.shapes)}
    other = next((prefix for prefix in VAES if prefix not in prefixes), "")
    if len(prefixes) != 1 or not other:
        return header
    (own,) = prefixes
    renamed = {own + key.removeprefix(other): key for key in header.tensors if key.startswith(other)}
    if not renamed or any(key in header.tensors for key in renamed):
        return header
    kept = {key: info for key, info in header.tensors.items() if not key.startswith(other)}
    tensors = kept | {key: header.tensors[stored] for key, stored in renamed.items()}
    return replace(header, tensors=tensors, aliases={**header.aliases, **renamed})


def problems_of(
    recipe: Recipe, base: int, identities: Sequence[Identity], sources: Sequence[Header], names: Sequence[str]
) -> Iterator[MergeError]:
    """Explicit requests that no file fulfils: parts that are not there, VAE files without a fitting VAE."""
    family = identities[base].family
    if recipe.vae and recipe.vae not in VAE_WORDS:
        yield from _problems_of_vae_file(identities[base], sources[-1])
    yield from _problems_of_part(recipe, base, family, sources, names, Component.TEXT, recipe.text_encoder)
    yield from _problems_of_part(recipe, base, family, sources, names, Component.VAE, recipe.vae)
    if recipe.ema and not any(identity.ema for identity in identities):
        what = "the U-Net is to be read from training averages (EMA), and no model holds any"
        yield RecipeError(what, hint="leave --ema use out, or use the full, not the pruned, file of a model")
    yield from _problems_of_strangers(recipe, base, family, sources, names)


def _problems_of_part(
    recipe: Recipe,
    base: int,
    family: Family,
    sources: Sequence[Header],
    names: Sequence[str],
    part: Component,
    choice: str,
) -> Iterator[MergeError]:
    """Somebody's text encoder or VAE that the file does not hold."""
    others = [n for n in range(len(recipe.ingredients)) if n != base]
    wanted = {KEEP_A: [base], TAKE_B: others[:1], BLEND: [base, *others]}.get(choice, [])
    having = [n for n in range(len(recipe.ingredients)) if holds(family, sources[n], part)]
    short = [n for n in wanted if n not in having]
    if not short or (choice == BLEND and base in having and len(having) > 1):
        return
    flag, word = FLAGS[part], WORDS[part]
    hint = f"leave {flag} out"
    if base in having:
        hint = f"{flag} a keeps that of {names[base]}"
    elif others and others[0] in having:
        hint = f"{flag} b takes that of {names[others[0]]}"
    asked = f"{flag} {choice} was asked for"
    who = names[short[0]]
    yield FamilyError(f"{who} holds no {word}, and {asked}", where=str(sources[short[0]].path), hint=hint)


def _problems_of_vae_file(identity: Identity, header: Header) -> Iterator[MergeError]:
    """A file that is to give the VAE, and holds none that fits the family's latents."""
    family, where = identity.family, str(header.path)
    hint = f"choose a VAE made for {family.title}, or leave --vae out to keep A's"
    try:
        own = identify(header.tensors, metadata=header.metadata, where=where)
    except MergeError as problem:
        yield type(problem)(
            f"the VAE file holds no VAE that can be used: {problem.what}", where=where, hint=hint
        )
        return
    if not holds(family, header, Component.VAE):
        yield FamilyError(f"the VAE file holds no VAE: it is {own.title}", where=where, hint=hint)
    elif not own.is_vae_only and own.family.latents != family.latents:
        what = f"the VAE file is {own.title}, whose VAE does not fit {family.title}"
        yield FamilyError(what, where=where, hint=hint)
    elif (found := _channels(header)) and (usual := _usual_channels(family)) and found != usual:
        what = f"the VAE file has {found} latent channels, and {family.title} has {usual}"
        yield FamilyError(what, where=where, hint=hint)


def _channels(header: Header) -> int:
    keys = (f"{prefix}decoder.conv_in.weight" for prefix in VAES)
    found = next((header.tensors[key] for key in keys if key in header.tensors), None)
    return found.shape[1] if found is not None and len(found.shape) > 1 else 0


def _usual_channels(family: Family) -> int:
    keys = (f"{prefix}decoder.conv_in.weight" for prefix in VAES)
    return next((family.shapes[key][1] for key in keys if key in family.shapes), 0)


def _problems_of_strangers(
    recipe: Recipe, base: int, family: Family, sources: Sequence[Header], names: Sequence[str]
) -> Iterator[MergeError]:
    """Models of which nothing can go in, because A has none of what they hold."""
    own = {key for key in sources[base].tensors if role_of(family, key) is Role.WEIGHT}
    used = {name for step in recipe.steps for name in step.inputs}
    explicit = {Component.TEXT: recipe.text_encoder, Component.VAE: vae_choice(recipe)}
    taken = [part for part, choice in explicit.items() if choice == TAKE_B]
    first = next((n for n in range(len(recipe.ingredients)) if n != base), base)
    for number, ingredient in enumerate(recipe.ingredients):
        if number == base or ingredient.name not in used or not own.isdisjoint(sources[number].tensors):
            continue
        if number == first and any(holds(family, sources[number], part) for part in taken):
            continue
        parts = [part for part in FLAGS if number == first and holds(family, sources[number], part)]
        yield FamilyError(
            f"{names[number]} holds nothing of what {names[base]} holds, so nothing of it would go in",
            where=str(sources[number].path),
            hint=" ".join(f"{FLAGS[part]} b" for part in parts) or "leave it out",
        )


def is_whole(recipe: Recipe, part: Component | None) -> bool:
    """Whether the recipe takes this part whole from one file that is not A."""
    if part is Component.TEXT:
        return recipe.text_encoder == TAKE_B
    return part is Component.VAE and vae_choice(recipe) not in (KEEP_A, BLEND, NONE)
