"""Run by the WebUI at every start: does nothing when nothing is missing.

Every WebUI already has all that the extension needs. Should one of these packages be missing all
the same, that one is installed, with every version that is installed now held where it is. Torch
is the WebUI's own affair.
"""

import importlib.util
import sys

NEEDED = {
    "safetensors": "safetensors>=0.4.2",
    "numpy": "numpy",
    "pandas": "pandas",
    "PIL": "Pillow",
    "tqdm": "tqdm",
    "scipy": "scipy",
    "matplotlib": "matplotlib",
}


def held(folder: str) -> str:
    """A constraints file that keeps pip from moving anything that the host has pinned."""
    from importlib import metadata
    from pathlib import Path

    versions = {package.metadata["Name"]: package.version for package in metadata.distributions()}
    file = Path(folder, "constraints.txt")
    file.write_text("".join(f"{name}=={versions[name]}\n" for name in versions if name), "utf-8")
    return str(file)


def add(packages: "list[str]") -> None:
    """Has the host's own installer add `packages`; says so where there is no host."""
    import tempfile

    try:
        import launch  # the WebUI's; it puts itself on the path for this script
    except ImportError:
        quoted = " ".join(f'"{package}"' for package in packages)
        print(f"Merge Desk: not installed here: {', '.join(packages)}; run: pip install {quoted}")
        return
    with tempfile.TemporaryDirectory() as folder:
        constraints = held(folder)
        for package in packages:
            launch.run_pip(f'install "{package}" -c "{constraints}"', f"{package} for Merge Desk")


if __name__ == "__main__":
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        try:
            add(missing)
        except RuntimeError as error:  # what the host raises when pip fails
            print(f"Merge Desk: could not install {', '.join(missing)}: {error}")
            sys.exit(1)
