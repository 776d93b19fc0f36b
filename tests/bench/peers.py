"""The peers' merges for tests/bench/methods.py, each with the settings that its own interface gives it.

sd-meh and sd-mecha are called as their users call them. SuperMerger runs in a WebUI alone, so its loop is
told here in our words (hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/mergers.py): whole files into
memory, a tensor at a time, float32, and scipy's filters for smooth add on as many threads as there are
cores ("smoothAdd MT"); what its interface does besides is left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ALPHA = 0.3
SD_MEH = ("ties", "euclidean_add_difference", "multiply_difference", "similarity_add_difference")
SD_MECHA = ("ties", "train_difference", "cosine_a", "dare", "slerp", "geometric_sum")
SUPERMERGER = ("train_difference", "supermerger_cosine_a", "smooth_add")
PEERS: Mapping[str, tuple[str, ...]] = {
    "sd-meh": SD_MEH,
    "sd-mecha": SD_MECHA,
    "supermerger": SUPERMERGER,
}


def sd_meh(name: str, out: Path, models: list[Path]) -> None:
    """sd-meh 0.9.5, as its command line calls it."""
    from sd_meh.merge import merge_models, save_model

    mode = "ties_add_difference" if name == "ties" else name
    names = dict(zip(("model_a", "model_b", "model_c"), map(str, models), strict=False))
    weights = {"alpha": [ALPHA] * 25, "beta": [ALPHA] * 25}
    bases = {"alpha": ALPHA, "beta": ALPHA}
    merged = merge_models(names, weights, bases, mode, precision=16, device="cpu", threads=2)
    save_model(merged, str(out.with_suffix("")), "safetensors")


def sd_mecha(name: str, out: Path, models: list[Path]) -> None:
    """sd-mecha 1.1.8, set as in contestants.py; its wrappers fail on differences, its parts do not."""
    import sd_mecha as tool
    import torch
    from sd_mecha.extensions.builtin.merge_methods import linear, ties

    torch.set_num_threads(1)
    a, b, c = (tool.model(str(path), "sd1-ldm") for path in models)

    def deltas() -> list:
        return [linear.subtract(b, a), linear.subtract(c, a)]

    recipes = {
        "ties": lambda: linear.add_difference(a, ties.ties_sum(*deltas(), k=0.2), alpha=1.0),
        "train_difference": lambda: linear.add_difference(
            a, linear.subtract(b, c), alpha=linear.train_difference_mask(a, b, c, alpha=ALPHA)
        ),
        "cosine_a": lambda: tool.add_cosine_a(a, b, alpha=ALPHA),
        "dare": lambda: linear.add_difference(a, ties.dropout(*deltas(), probability=0.5, seed=0), alpha=1.0),
        "slerp": lambda: tool.slerp(a, b, alpha=ALPHA),
        "geometric_sum": lambda: tool.geometric_sum(a, b, alpha=ALPHA),
    }
    tool.merge(recipes[name](), output=out, threads=2, merge_dtype=torch.float32, output_dtype=torch.float16)


def supermerger(name: str, out: Path, models: list[Path]) -> None:
    """SuperMerger's loop."""
    from safetensors.torch import load_file, save_file

    a, b, *rest = (load_file(path) for path in models)
    keys = [key for key in a if "model" in key and ("weight" in key or "bias" in key) and key in b]
    work = {"train_difference": _train, "supermerger_cosine_a": _cosine, "smooth_add": _smooth}[name]
    work(keys, a, b, rest[0] if rest else {})
    save_file(a, out)


Tensors = dict


def _train(keys: list[str], a: Tensors, b: Tensors, c: Tensors) -> None:
    import torch

    for key in keys:
        first, second, third = a[key].float(), b[key].float(), c[key].float()
        near, far = (second - third).abs(), (second - first).abs()
        total = near + far
        scale = torch.where(total != 0, far / total, torch.tensor(0.0)) * torch.sign(second - third)
        a[key] = (a[key] + scale * near * (ALPHA * 1.8)).half()


def _cosine(keys: list[str], a: Tensors, b: Tensors, c: Tensors) -> None:
    import numpy as np
    import torch

    similarity = torch.nn.CosineSimilarity(dim=0)

    def unit(tensor: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(tensor.float(), p=2, dim=0)

    found = np.array([], dtype=np.float64)
    for key in keys:
        if "first_stage_model" not in key:
            found = np.append(found, similarity(unit(a[key]), unit(b[key])).numpy())
    found = found[~np.isnan(found)]
    for share, beyond in ((1, np.less), (99, np.greater)):
        found = np.delete(found, np.where(beyond(found, np.percentile(found, share, method="midpoint"))))
    low, high = found.min(), found.max()
    for key in keys:
        first, second = unit(a[key]), unit(b[key])
        whole = torch.dot(first.view(-1), second.view(-1)) / (torch.norm(first) * torch.norm(second))
        k = ((similarity(first, second) + whole) / 2 - low) / (high - low) - ALPHA
        a[key] = torch.lerp(b[key].float(), a[key].float(), k.clip(0, 1).float()).half()


def _smooth(keys: list[str], a: Tensors, b: Tensors, c: Tensors) -> None:
    import torch
    from scipy.ndimage import gaussian_filter, median_filter

    def one(key: str) -> None:
        difference = (b[key].float() - c[key].float()).numpy()
        smoothed = gaussian_filter(median_filter(difference, size=3), sigma=1)
        a[key] = (a[key] + ALPHA * torch.from_numpy(smoothed)).half()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, keys))


RUNNERS: Mapping[str, Callable[[str, Path, list[Path]], None]] = {
    "sd-meh": sd_meh,
    "sd-mecha": sd_mecha,
    "supermerger": supermerger,
}
