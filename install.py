"""Run by the WebUI at every start: does nothing when nothing is missing.

WebUIs already have all that the extension needs. A missing package is installed with the versions of
all installed packages as constraints. Torch is left to the WebUI.
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


def constraints_file(folder: str) -> str:
    """Write a constraints file that keeps pip from changing installed packages; returns its path."""
    from importlib import metadata
    from pathlib import Path

    versions = {package.metadata["Name"]: package.version for package in metadata.distributions()}
    file = Path(folder, "constraints.txt")
    file.write_text("".join(f"{name}=={versions[name]}\n" for name in versions if name), "utf-8")
    return str(file)


def add(packages: "list[str]") -> None:
    """Install `packages` with the host's installer; without a host print the pip command."""
    import tempfile

    try:
        import launch  # the WebUI's; it puts itself on the path for this script
    except ImportError:
        quoted = " ".join(f'"{package}"' for package in packages)
        print(f"Merge Desk: not installed here: {', '.join(packages)}; run: pip install {quoted}")
        return
    with tempfile.TemporaryDirectory() as folder:
        constraints = constraints_file(folder)
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
