"""Which peers' numbers the tests compare each method with; test_peers.py holds it to its tests."""

from __future__ import annotations

from collections.abc import Mapping

AGREES: Mapping[str, tuple[str, ...]] = {
    "sd_meh": (
        "tensor_sum",
        "weighted_subtraction",
        "multiply_difference",
        "similarity_add_difference",
        "euclidean_add_difference",
        "top_k_tensor_sum",
        "distribution_crossover",
        "ties",
    ),
    "sd_mecha": (
        "slerp",
        "geometric_sum",
        "add_perpendicular",
        "train_difference",
        "clamp",
        "crossover",
        "ties",
        "geometric_median",
        "rotate",
    ),
    "mergekit": (
        "ties",
        "breadcrumbs",
        "karcher_mean",
        "near_swap",
        "delta_slerp",
        "sce",
        "model_stock",
    ),
}
NAMES = {"sd_meh": "sd-meh", "sd_mecha": "sd-mecha", "mergekit": "mergekit"}
# whose numbers, or formula told anew in float64, stand in the tests where nothing on PyPI has the method
TOLD: Mapping[str, str] = {
    "adjust": "SuperMerger's numbers",
    "extract": "SuperMerger's formula",
    "smooth_add": "scipy's filters",
    "supermerger_cosine_a": "SuperMerger's formula",
    "supermerger_cosine_b": "SuperMerger's formula",
}


def peers_of(method: str) -> str:
    """In words, for the table of docs/methods.md."""
    peers = [NAMES[peer] for peer, methods in AGREES.items() if method in methods]
    return ", ".join(peers) or TOLD.get(method, "float64")
