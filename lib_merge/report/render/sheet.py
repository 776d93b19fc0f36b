"""The fact sheet of a checkpoint, and the model card made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lib_merge.architectures import Component, Identity, component_of, identify
from lib_merge.checkpoint import Hashes, Header, human_size
from lib_merge.checkpoint.suffixes import without_suffix
from lib_merge.errors import FamilyError, MergeError
from lib_merge.plan.shares import Shares, ingredient_shares, render_vae_source
from lib_merge.recipe import RECIPE_KEY, Recipe, parse_recipe

PARTS = {Component.UNET: "U-Net", Component.TEXT: "text encoder", Component.VAE: "VAE"}
HASH_TITLES = {
    "sha256": "SHA256",
    "md5": "MD5",
    "autov1": "AutoV1",
    "autov2": "AutoV2",
    "autov3": "AutoV3",
}


@dataclass(frozen=True)
class FactSheet:
    """The facts of one file.

    family     "" for a file of no known family
    dtypes     part -> dtype -> number of tensors
    made_from  the files of its recipe
    shares     part -> ingredient -> its share, for a file with a recipe
    vae_of     the source of the VAE, if a recipe says it
    """

    file: str
    format: str
    nbytes: int
    family: str
    prediction: str
    parts: tuple[str, ...]
    ema: bool
    dtypes: Mapping[str, Mapping[str, int]]
    hashes: Hashes
    recipe: str = ""
    made_from: tuple[str, ...] = ()
    shares: Mapping[str, Shares] = field(default_factory=dict[str, Shares])
    vae_of: str = ""

    @property
    def has_vae(self) -> bool:
        """Whether the file contains a VAE."""
        return PARTS[Component.VAE] in self.parts

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Rows of name and value; rows without a value are left out."""
        vae = f"yes, {self.vae_of}" if self.has_vae and self.vae_of else "yes" if self.has_vae else "no"
        ingredients = [(f"Share of the {part}", _mixture(of)) for part, of in self.shares.items()]
        hashes = [(title, getattr(self.hashes, name) or "") for name, title in HASH_TITLES.items()]
        rows = [
            ("File", self.file),
            ("Type", "checkpoint merge" if self.recipe else "checkpoint"),
            ("Format", self.format),
            ("Size", f"{human_size(self.nbytes)} ({self.nbytes} bytes)"),
            ("Family", self.family + (f", predicts {self.prediction}" if self.prediction else "")),
            ("Dtype", "; ".join(f"{part} {_formats(of)}" for part, of in self.dtypes.items())),
            ("Embedded VAE", vae),
            ("Text encoder", "yes" if PARTS[Component.TEXT] in self.parts else "no"),
            ("EMA", "yes" if self.ema else "no"),
            ("Made from", ", ".join(self.made_from)),
            *ingredients,
            *hashes,
        ]
        return tuple((name, value) for name, value in rows if value)

    def to_dict(self) -> dict[str, Any]:
        """The sheet as a dictionary for JSON."""
        return {**asdict(self), "vae": self.has_vae}

    def render_text(self) -> str:
        """The rows as lines of text, with the values aligned."""
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def read_fact_sheet(header: Header, hashes: Hashes) -> FactSheet:
    """The fact sheet of a file, with the recipe in its metadata."""
    try:
        identity = identify(header.tensors, metadata=header.metadata, where=str(header.path))
    except FamilyError:
        identity = None
    text = header.metadata.get(RECIPE_KEY, "")
    recipe = _read(text)
    shares: Mapping[Component, Shares] = {}
    if identity and recipe:
        sizes = {key: info.numel for key, info in header.tensors.items()}
        try:
            shares = ingredient_shares(recipe, identity.family, sizes)
        except MergeError:  # a recipe that this version cannot read; the other facts are shown
            shares = {}
    return FactSheet(
        header.path.name,
        "ckpt (pickle)" if header.data_start == 0 else "safetensors",
        header.file_size,
        identity.title if identity else "",
        identity.prediction if identity else "",
        tuple(PARTS[part] for part in PARTS if identity and part in identity.components),
        bool(identity and identity.ema),
        _dtypes(header, identity),
        hashes,
        text,
        tuple(ingredient.file for ingredient in recipe.ingredients) if recipe else (),
        {PARTS[part]: of for part, of in shares.items()},
        render_vae_source(recipe) if recipe else "",
    )


def render_model_card(sheet: FactSheet, title: str = "") -> str:
    """A model card in Markdown: facts, ingredients, recipe."""
    lines = [f"# {title or _bare(sheet.file)}", ""]
    if sheet.shares:
        lines += ["A merge of Stable Diffusion checkpoints, made with Merge Desk.", "", "## Ingredients", ""]
        parts = list(sheet.shares)
        files = dict.fromkeys(file for of in sheet.shares.values() for file in of)
        lines += [f"| | {' | '.join(parts)} |", f"|---|{'---|' * len(parts)}"]
        for file in files:
            cells = [_percent(sheet.shares[part].get(file, 0.0)) for part in parts]
            lines.append(f"| {_bare(file)} | {' | '.join(cells)} |")
        lines.append("")
    lines += ["## Facts", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in sheet.rows() if not name.startswith("Share ")]
    if sheet.recipe:
        lines += ["", "## Recipe", "", "```", *sheet.recipe.rstrip().splitlines(), "```"]
    return "\n".join(lines) + "\n"


def _read(text: str) -> Recipe | None:
    try:
        return parse_recipe(text) if text else None
    except MergeError:
        return None


def _dtypes(header: Header, identity: Identity | None) -> Mapping[str, Mapping[str, int]]:
    counted: dict[str, dict[str, int]] = {}
    for key, info in header.tensors.items():
        part = component_of(identity.family, key) if identity else None
        if part is None and identity:
            continue
        formats = counted.setdefault(PARTS[part] if part else "file", {})
        formats[info.dtype.label] = formats.get(info.dtype.label, 0) + 1
    return {part: counted[part] for part in (*PARTS.values(), "file") if part in counted}


def _formats(of: Mapping[str, int]) -> str:
    """The dtypes, the most frequent first; without int64, the dtype of position_ids."""
    ranked = sorted(of, key=lambda label: -of[label])
    return " and ".join(label for label in ranked if label != "int64" or len(ranked) == 1)


def _mixture(of: Shares) -> str:
    return ", ".join(f"{_bare(file)} {_percent(share)}" for file, share in of.items())


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _bare(file: str) -> str:
    return without_suffix(file)
