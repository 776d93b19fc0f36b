"""`merge-desk draw` and `merge-desk desk`, which use the standalone host, imported on demand."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from lib_merge.cli.output import print_json
from lib_merge.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class DrawCommand:
    """The arguments of `draw`; sizes in pixels, None for the size that the model was trained for."""

    file: str
    prompt: str
    negative: str
    seed: int
    output: str
    overwrite: bool
    steps: int
    guidance: float
    width: int | None
    height: int | None
    device: str
    json: bool


@dataclass(frozen=True, kw_only=True)
class DeskCommand:
    """The arguments of `desk`; without folders the current folder is used."""

    folders: tuple[str, ...]
    output: str
    device: str
    port: int
    no_browser: bool


def draw(options: DrawCommand) -> None:
    """`merge-desk draw CHECKPOINT --prompt P --seed N -o PNG`."""
    from lib_merge.hosts.pictures import draw_to_file

    target = Path(options.output)
    began = time.monotonic()
    drawn = draw_to_file(
        Path(options.file),
        target,
        prompt=options.prompt,
        negative=options.negative,
        seed=options.seed,
        steps=options.steps,
        guidance=options.guidance,
        size=(options.width, options.height),
        device=options.device,
        overwrite=options.overwrite,
    )
    seconds = round(time.monotonic() - began, 3)
    size = {"width": drawn.width, "height": drawn.height}
    data = {"output": str(target), **size, "seed": drawn.seed, "seconds": seconds}
    text = f"{target}: {drawn.width} x {drawn.height}, seed {drawn.seed}, in {seconds:.1f} s"
    if options.json:
        print_json(data)
    else:
        print(text)


def desk(options: DeskCommand) -> None:
    """`merge-desk desk --models DIR`: until Ctrl-C."""
    from lib_merge.desk.serve import check_port, serve
    from lib_merge.hosts.standalone import StandaloneHost

    check_port(options.port)  # before the folders are read, which may take long
    folders = [Path(folder) for folder in options.folders or (".",)]
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        raise CheckpointError("there is no such folder", where=", ".join(missing), hint="--models DIR")
    output = Path(options.output)
    host = StandaloneHost(folders, output=output, data=output / "desk", device=options.device)
    serve(
        host,
        port=options.port,
        open_browser=not options.no_browser,
        say=lambda address: print(f"Merge Desk: {address}  (Ctrl-C ends it)", flush=True),
    )
