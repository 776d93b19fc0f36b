"""Recipes that are recognised and not imported: ComfyUI's workflows, and commands of Chattiori's merger."""

from __future__ import annotations

import re

from lib_merge.recipe.imports.importer import Fields, Importer, load_fields, not_imported

WORKFLOW = "this is a workflow of ComfyUI, which is not imported"
WORKFLOWS = ("prompt", "workflow")  # that ComfyUI writes into pictures and merged files
COMMAND = re.compile(r"\bmerge\.py[\"']? +[\"']?(?:WS|AD|RM|NoIn|sAD|MD|TRS|TS|ST|DARE|ORTHO|SIG|GEO|MAX)\b")


def is_workflow(fields: Fields) -> bool:
    """Whether it is a prompt of ComfyUI, nodes by number, or its page's list of nodes; in metadata, too."""
    inside = [nodes for name in WORKFLOWS if (nodes := load_fields(fields.get(name))) is not None]
    return any(
        "last_node_id" in nodes or isinstance(nodes.get("nodes"), list) or any(map(_is_node, nodes.values()))
        for nodes in (fields, *inside)
    )


def _is_node(value: object) -> bool:
    return isinstance(value, dict) and "class_type" in value


COMFYUI = Importer(
    tool="ComfyUI",
    reads="no workflow: it is named and refused",
    example='{"3": {"class_type": "ModelMergeBlocks", "inputs": {"input": 1.0}}}',
    recognises=lambda source: is_workflow(source.fields),
    read=not_imported(WORKFLOW),
)
CHATTIORI = Importer(
    tool="Chattiori's merger",
    reads="no command: it is named and refused",
    example='python merge.py "WS" "C:\\models" "a.safetensors" "b.safetensors" --output M = x',
    recognises=lambda source: COMMAND.search(source.text) is not None,
    read=not_imported("this is a command of Chattiori's merger, which is not imported"),
)
