"""UntitledMerger's names for parts of a model, and the prefixes of their keys.

Source: groinge/sd-webui-untitledmerger 18f2d40, scripts/untitled/misc_util.py, target_to_regex.
"""

from __future__ import annotations

from lib_merge.architectures.keys import INPUTS, MIDDLE, OUTPUTS, UNET_PREFIX

UNTITLEDMERGER_TARGETS = {
    "all": "",
    "clip": "cond",
    "base": "cond",
    "unet": UNET_PREFIX.removesuffix("."),
    "in": (UNET_PREFIX + INPUTS).removesuffix("."),
    "out": (UNET_PREFIX + OUTPUTS).removesuffix("."),
    "mid": (UNET_PREFIX + MIDDLE).removesuffix("."),
}
