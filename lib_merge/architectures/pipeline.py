"""The diffusers pipeline of a family, as data: its models, and their configs inferred from a file's
shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lib_merge.checkpoint import Shapes

# the arguments of a model's class in diffusers or transformers, as in its config.json
Config = dict[str, Any]


@dataclass(frozen=True)
class PipelinePart:
    """One model of a pipeline.

    name           its name in the pipeline, which is also its folder
    weights_file   name of the weights file in the folder
    library        the package of its class: "diffusers" or "transformers"
    class_name     name of its class
    prefix         prefix of its keys in a single-file checkpoint
    infer_config   its config from the shapes of a single-file checkpoint; KeyError or IndexError where a
                   tensor is missing or has too few axes
    config_extras  entries of config.json that are not arguments of the class
    """

    name: str
    weights_file: str
    library: str
    class_name: str
    prefix: str
    infer_config: Callable[[Shapes], Config]
    config_extras: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def path(self) -> str:
        """Path of the weights file in the pipeline's folder."""
        return f"{self.name}/{self.weights_file}"

    def __hash__(self) -> int:
        """The hash of the name, since mappings cannot be hashed."""
        return hash(self.name)


@dataclass(frozen=True)
class Pipeline:
    """A family's pipeline.

    class_name  name of its class in diffusers
    unet, vae, text_encoder  its models
    scheduler   config of the scheduler: the noise schedule with which models of the family are trained
    """

    class_name: str
    unet: PipelinePart
    vae: PipelinePart
    text_encoder: PipelinePart
    scheduler: Mapping[str, object]
