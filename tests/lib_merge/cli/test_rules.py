"""Block weights as rules on the command line: `--weights`, and the tester."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lib_merge.cli import main
from lib_merge.recipe import parse_recipe, parse_rules
from tests.support.full_size import write_tiny
from tests.support.merging import same_bits

pytestmark = pytest.mark.newest_only

Capture = pytest.CaptureFixture[str]
Tiny = Callable[..., str]
TO_K = "model.diffusion_model.output_blocks.5.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Writes `NAME.safetensors` into the current folder and gives its name."""
    monkeypatch.chdir(tmp_path)
    return lambda name, **o: write_tiny(Path(f"{name}.safetensors"), **{"seed": ord(name[0]), **o}).name


def test_weights_take_presets_and_rules_over_a_plain_alpha(tiny: Tiny, capsys: Capture) -> None:
    a, b = tiny("a"), tiny("b")
    arguments = [
        "merge",
        a,
        b,
        "--alpha",
        "0.5",
        "--weights",
        "OUT: 1; attn2.to_k: 0; exclude FINAL",
        "-o",
        "m.safetensors",
    ]
    assert main(arguments) == 0
    capsys.readouterr()
    merged, first, second = (load_file(name) for name in ("m.safetensors", a, b))
    assert same_bits(merged[TO_K], first[TO_K])
    other = TO_K.replace("attn2", "attn1")
    assert same_bits(merged[other], second[other])
    assert same_bits(merged["model.diffusion_model.out.2.bias"], first["model.diffusion_model.out.2.bias"])
    assert main(["inspect", "m.safetensors", "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    recipe = parse_recipe(description["metadata"]["merge_desk.recipe"])
    expected = parse_rules("*: 0.5\n---\nOUT: 1\nattn2.to_k: 0\nexclude FINAL")
    assert dict(recipe.steps[0].settings)["alpha"] == expected


def test_a_merge_by_rules_is_rebuilt_from_its_recipe_byte_for_byte(tiny: Tiny, capsys: Capture) -> None:
    a, b = tiny("a"), tiny("b")
    weights = "0.5*GRAD_V + 0.5*COSINE; attn1: uniform(0, 1, seed = 3, each = key)"
    assert main(["merge", a, b, "--weights", weights, "-o", "m.safetensors"]) == 0
    assert main(["inspect", "m.safetensors", "--json"]) == 0
    text = json.loads(capsys.readouterr().out.split("\n", 1)[1])["metadata"]["merge_desk.recipe"]
    Path("again.txt").write_text(text)
    assert main(["merge", "--recipe", "again.txt", "-o", "n.safetensors"]) == 0
    assert Path("m.safetensors").read_bytes() == Path("n.safetensors").read_bytes()


def test_the_tester_prints_rules_and_endings(tiny: Tiny, capsys: Capture) -> None:
    assert main(["rules", "GRAD_V; attn2.to_k: 0.2; exclude FINAL", tiny("a")]) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    assert ["2", "16", "16", "attn2.to_k:", "0.2"] in rows
    assert ["OUT", "4", "x", "stays", "as", "it", "is", "(include,", "exclude)"] in rows
    assert ["VAE", "248", "x", "stays", "A's"] in rows


def test_the_tester_lists_every_tensor_and_speaks_json(tiny: Tiny, capsys: Capture) -> None:
    assert main(["rules", "attn2.to_k: 0.2", tiny("a"), "--keys"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(TO_K)]
    assert line.split()[1:] == ["OUT05", "0.2", "(rule", "1)"]
    assert main(["rules", "attn2.to_k: 0.2", tiny("b"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["hits"] == [{"line": 1, "text": "attn2.to_k: 0.2", "hits": 16, "wins": 16}]
    assert len(report["endings"]) == 1130


def test_a_rule_that_hits_nothing_is_a_mistake(tiny: Tiny, capsys: Capture) -> None:
    assert main(["rules", "out05: 0.2", tiny("a")]) == 2
    assert "did you mean 'OUT05'" in capsys.readouterr().err


def test_presets_are_drawn_for_each_family(capsys: Capture) -> None:
    assert main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 42
    assert lines[0].split() == ["GRAD_V", "█▇▇▆▆▅▅▄▃▃▂▂▁▂▂▃▃▄▅▅▆▆▇▇█"]
    assert any(line.startswith("STYLE ") and "guides disagree" in line for line in lines)
    assert main(["presets", "--family", "sdxl", "--json"]) == 0
    presets = {row["name"]: row["amounts"] for row in json.loads(capsys.readouterr().out)}
    assert presets["GRAD_V"]["M00"] == 0
    assert main(["presets", "--family", "flux"]) == 0
    assert "no presets" in capsys.readouterr().out
