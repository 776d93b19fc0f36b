"""What each method costs on full-size files, beside the weighted sum.

    python tests/bench/methods.py [--family sd1] [--rounds 1] [--only ties,dare] [--threads 2] [--device cpu]
        [--peers sd-meh,sd-mecha,supermerger] [--peers-alone] [--part [SLOTS]] [--log FILE]

Every merge is a process of its own that writes its file; imports are not counted, the inputs are in the page
cache. Methods over a base get one base and two models. Ratios are of processor time, which a busy machine
changes less than the clock's, to the median of the weighted sum's. `--part` works on some blocks of the
U-Net in full size, for peers that take many minutes over the whole. `--log` keeps every result and reports
all that the file holds, so that a run can be broken off and gone on with.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from tests.bench.compare import inputs, warm  # noqa: E402
from tests.bench.contestants import PeakMemory  # noqa: E402
from tests.bench.peers import PEERS, RUNNERS  # noqa: E402

PLAIN = "weighted_sum"
VAE = "first_stage_model."
PART = "IN04,IN11,M00,TIME,OUT"  # 0.3 GB with every kind of tensor
MIDDLE, LAST_IN = "model.diffusion_model.middle_block.1.", "model.diffusion_model.input_blocks.11.0."
SIGNS = {f"{MIDDLE}proj_in.weight", f"{LAST_IN}in_layers.0.weight"}  # what SD1 is known by


def settings_of(name: str) -> dict[str, object]:
    """The defaults; where 0 or 1 is the default and an end, something in the middle."""
    from lib_merge.methods import METHODS

    method = METHODS.get(name)
    settings: dict[str, object] = {p.name: 0.3 for p in method.parameters if p.name == "alpha"}
    if name == "weighted_models":
        settings["model_weights"] = (0.5, 0.3, 0.2)
    return settings


def ours(name: str, out: Path, models: list[Path], device: str, threads: int) -> None:
    """One merge by this library."""
    from lib_merge.architectures import read_header
    from lib_merge.execute import MergeOptions, merge_to_file
    from lib_merge.methods import METHODS
    from lib_merge.plan import make_plan
    from lib_merge.recipe import Ingredient, Recipe, Step

    chosen = models[: METHODS.get(name).max_models or 3]
    ingredients = tuple(Ingredient(letter, path.name) for letter, path in zip("ABC", chosen, strict=False))
    settings = tuple(sorted(settings_of(name).items()))
    step = Step("M", name, tuple(each.name for each in ingredients), settings)  # type: ignore[arg-type]
    headers = {path.name: read_header(path) for path in chosen}
    has_vae = any(key.startswith(VAE) for key in headers[chosen[0].name].tensors)  # not in parts of a file
    recipe = Recipe(ingredients, (step,), "M", vae="blend" if has_vae else "")
    plan = make_plan(recipe, headers)
    merge_to_file(plan, out, MergeOptions(overwrite=True, device=device, threads=threads))


def part_of(models: list[Path], slots: str) -> list[Path]:
    """Files with the tensors of some slots alone, in full size."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    from lib_merge.architectures import family_by_id, slot_of

    family = family_by_id("sd1")
    wanted = set(slots.split(","))
    parts = [model.with_name(f"{'_'.join(sorted(wanted))}_{model.name}") for model in models]
    for model, part in zip(models, parts, strict=True):
        if not part.exists():
            with safe_open(model, "pt") as file:
                kept = [key for key in list(file.keys()) if slot_of(family, key) in wanted or key in SIGNS]
                save_file({key: file.get_tensor(key) for key in kept}, part)
    return parts


def child(options: argparse.Namespace) -> None:
    """One merge, in this process."""
    import torch

    torch.empty(1, device=options.device)
    with PeakMemory() as memory:
        began, before = time.perf_counter(), time.process_time()
        if options.tool == "merge-desk":
            ours(options.child, options.out, options.models, options.device, options.threads)
        else:
            RUNNERS[options.tool](options.child, options.out, options.models)
        seconds, spent = time.perf_counter() - began, time.process_time() - before
    print(json.dumps({"seconds": seconds, "cpu": spent, "anonymous": memory.peak}))


def run(tool: str, name: str, options: argparse.Namespace, models: list[Path]) -> dict[str, float] | None:
    """One merge in a process of its own; None where it fails."""
    warm(models)
    out = options.folder / "out_methods.safetensors"
    command = [sys.executable, __file__, "--child", name, "--tool", tool, "--out", str(out)]
    command += ["--device", options.device, "--threads", str(options.threads), *map(str, models)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    out.unlink(missing_ok=True)
    if done.returncode:
        print(f"{tool} {name} failed:\n{done.stderr.strip()}", file=sys.stderr)
        return None
    result = json.loads(done.stdout.strip().splitlines()[-1])
    print(
        f"{tool} {name} {result['seconds']:.2f} s, {result['cpu']:.2f} s of processors",
        file=sys.stderr,
        flush=True,
    )
    return result


def report(results: dict[tuple[str, str], list[dict[str, float]]]) -> str:
    """One row a method and tool."""
    rows = [
        "| method | tool | seconds, median | of processors | times the weighted sum | memory, peak |",
        "|---|---|---|---|---|---|",
    ]
    base = results[PLAIN, "merge-desk"]
    for (name, tool), runs in results.items():
        if runs:
            seconds = statistics.median(each["seconds"] for each in runs)
            usual = statistics.median(plain["cpu"] for plain in base)
            ratio = statistics.median(each["cpu"] / usual for each in runs)
            spent = statistics.median(each["cpu"] for each in runs)
            memory = max(each["anonymous"] for each in runs) / 1e6
            rows.append(
                f"| `{name}` | {tool} | {seconds:.2f} | {spent:.2f} | {ratio:.1f} | {memory:,.0f} MB |"
            )
    return "\n".join(rows)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", choices=("sd1", "sdxl"), default="sd1")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--peers", default="")
    parser.add_argument("--part", nargs="?", const=PART, help="slots of the U-Net instead of whole files")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "merge-desk-bench")
    parser.add_argument("--peers-alone", action="store_true", help="where the log has ours already")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--tool", default="merge-desk", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("models", nargs="*", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    from lib_merge.methods import METHODS

    options.folder.mkdir(parents=True, exist_ok=True)
    models = inputs(options.folder, options.family, 3)
    if options.part:
        models = part_of(models, options.part)
    every = [method.id for method in METHODS.all()]
    names = [PLAIN, *(name for name in (options.only.split(",") if options.only else every) if name != PLAIN)]
    tools = [tool for tool in options.peers.split(",") if tool]
    jobs = [] if options.peers_alone else [(name, "merge-desk") for name in names]
    jobs += [(name, tool) for tool in tools for name in PEERS[tool] if name in names]
    results = known(options.log, jobs)
    for _ in range(options.rounds):
        for name, tool in jobs:
            found = run(tool, name, options, models)
            if found:
                results[name, tool].append(found)
                note(options.log, name, tool, found)
    print(report(results))


def known(log: Path | None, jobs: list[tuple[str, str]]) -> dict[tuple[str, str], list[dict[str, float]]]:
    """What earlier runs have found, and room for this one's."""
    results: dict[tuple[str, str], list[dict[str, float]]] = {job: [] for job in jobs}
    for line in log.read_text().splitlines() if log and log.exists() else ():
        name, tool, found = json.loads(line)
        results.setdefault((name, tool), []).append(found)
    return results


def note(log: Path | None, name: str, tool: str, found: dict[str, float]) -> None:
    """One result more in the log."""
    if log:
        with log.open("a") as file:
            print(json.dumps([name, tool, found]), file=file)


if __name__ == "__main__":
    main()
