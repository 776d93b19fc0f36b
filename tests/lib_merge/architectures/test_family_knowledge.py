"""What is known of families stands in architectures/ alone: no name of a tensor, no family's id elsewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lib_merge
from lib_merge.architectures import FAMILIES, Component, keys

ROOT = Path(lib_merge.__file__).parent
HOME = ROOT / "architectures"
MODULES = sorted(path for path in ROOT.rglob("*.py") if HOME not in path.parents)

# (module, string): why it stands there
CLIP_MODEL = "a name in transformers' CLIPModel, the weights of a scorer: no key of a checkpoint"
ALLOWED = {
    ("hosts/a1111.py", "diffusion_model"): "an attribute of the host's own model, not a key of a file",
    ("hosts/a1111_model.py", "in_proj_weight"): "an attribute of torch.nn.MultiheadAttention, likewise",
    ("search/scorers/clip.py", "text_model"): CLIP_MODEL,
    ("search/scorers/clip.py", "text_projection.weight"): CLIP_MODEL,
    ("search/scorers/clip.py", "text_model.embeddings.token_embedding.weight"): CLIP_MODEL,
    ("search/scorers/clip.py", "text_model.embeddings.position_embedding.weight"): CLIP_MODEL,
    ("search/scorers/clip.py", "vision_model.embeddings.position_embedding.weight"): CLIP_MODEL,
}


def prefixes() -> set[str]:
    """Every prefix that keys.py spells out, and every family's slots and parts begin with."""
    spelled = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)}
    used = {prefix for family in FAMILIES for prefix in (*family.slot_prefixes, *family.topology.parts)}
    return {prefix for prefix in spelled | used if prefix.endswith(".")}


def parts_of_keys() -> set[str]:
    """The words between the dots of every key of every family that no other string would be: in_layers."""
    of_keys = {word for family in FAMILIES for key in family.shapes for word in key.split(".")}
    of_prefixes = {word for prefix in prefixes() for word in prefix.split(".")}
    parts = {word for word in of_keys | of_prefixes if "_" in word}
    return parts - {keys.POSITION_IDS}  # which messages name, as people do


WORDS = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(map(re.escape, parts_of_keys())))})(?!\w)")
STARTS = re.compile(rf"(?<![\w. ])(?:{'|'.join(sorted(map(re.escape, prefixes())))})(?=[\w\\*{{]|$)")
IDS = {family.id for family in FAMILIES} - {part.value for part in Component}
FAMILY = re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(IDS, key=len, reverse=True))})(?![\w-])")


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """The string literals of a module, with their lines; docstrings are none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def leaks(path: Path) -> list[str]:
    """Strings of a module that only architectures/ should hold."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for line, text in strings(path)
        for match in (WORDS.search(text) or STARTS.search(text) or FAMILY.search(text),)
        if match and (path.relative_to(ROOT).as_posix(), text) not in ALLOWED
    ]


def test_no_module_outside_of_architectures_spells_a_key_or_names_a_family() -> None:
    assert [leak for path in MODULES for leak in leaks(path)] == []


def test_no_script_of_the_page_names_a_family_or_spells_a_key() -> None:
    scripts = sorted((ROOT.parent / "javascript").rglob("*.js"))
    assert scripts != []
    leaks_of_scripts = [
        f"{path.name}: {match.group()}"
        for path in scripts
        for pattern in (WORDS, FAMILY)
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    assert leaks_of_scripts == []


def test_what_is_excused_still_stands_there() -> None:
    for module, text in ALLOWED:
        assert text in {string for _, string in strings(ROOT / module)}


@pytest.mark.parametrize(
    "line",
    [
        'UNET = "model.diffusion_model."',
        'BLOCK = re.compile(r"model\\.diffusion_model\\.out\\.")',
        'VAES = ("vae.",)',
        'TEXT = f"conditioner.embedders.{number}."',
        'name = f"{layer}.to_q.weight"',
        'heads = 8 if family.id == "sd1" else 0',
        'raise MergeError("only sdxl has these")',
    ],
)
def test_every_kind_of_leak_is_found(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "leaking.py").write_text(f"{line}\n", encoding="utf-8")
    assert len(leaks(tmp_path / "leaking.py")) == 1


def test_within_architectures_keys_alone_spells_the_prefixes_out() -> None:
    """A prefix that is spelled twice is changed once."""
    roots = {
        keys.UNET_PREFIX,
        keys.VAE_PREFIX,
        keys.TEXT_PREFIX,
        keys.SGM_ENCODER_PREFIX,
        keys.COMFY_TEXT_PREFIX,
        keys.EMA_PREFIX,
    }
    spelled = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for path in sorted(HOME.rglob("*.py"))
        if path.name != "keys.py"
        for line, text in strings(path)
        if any(text.startswith(root) for root in roots)
    ]
    assert spelled == []
