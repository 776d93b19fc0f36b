"""Grids for programs, in the words of the command line."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

from lib_merge.desk.grid_run import Running, grids_of
from lib_merge.desk.mixer import Body, Mixer
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid import Asked, plan_as_data, read_asked
from lib_merge.grid.axes import NAMES
from lib_merge.picture import DrawSettings, read_settings

ACTIONS = ("start", "plan", "resume", "stop", "cell")

Data = dict[str, Any]


def grid_status(mixer: Mixer) -> Data:
    """How far the grid is, and every cell that is finished."""
    now = grids_of(mixer).now
    if now is None:
        return {"running": False, "cells": [], "told": ""}
    return {
        "running": now.running,
        "told": now.progress() if now.running else now.ended,
        "merges": now.merges,
        "planned": plan_as_data(now.plan),
        "cells": [_cell(each, now) for each in list(now.events)],
        "problem": str(now.failure) if now.failure else "",
        "blocks": dict(now.blocks()) if now.map and not now.running else None,
    }


def _cell(done: Any, now: Running) -> Data:
    record = done.record
    return {
        "place": list(done.place),
        "labels": dict(done.labels),
        "state": "failed" if record.failed else "kept" if done.kept else "done",
        "problem": record.problem,
        "merge_seconds": record.merge_seconds,
        "draw_seconds": record.draw_seconds,
        "recipe": record.recipe,
    }


def grid_act(mixer: Mixer, body: Body) -> Data:
    """Plan, start, resume or stop a grid, or fetch one cell.

    body  action (start unless it says another), axes ({"x": "alpha: 0-1 [5]"}), drawing (prompt, steps, seed,
          ...), map (true for the map of effective blocks), place (of a cell), and what `apply` takes
    """
    rest = dict(body)
    action, grids = str(rest.pop("action", "") or ACTIONS[0]), grids_of(mixer)
    axes, drawing = _axes(rest.pop("axes", None)), _drawing(rest.pop("drawing", None), mixer)
    is_map, place = rest.pop("map", None) or False, rest.pop("place", None)
    if not isinstance(is_map, bool):
        raise RecipeError(f"map is true or false, not {is_map!r}")
    if action not in ACTIONS:
        raise RecipeError(f"a grid cannot '{action}'", hint=", ".join(ACTIONS))
    if action == "stop":
        grids.stop()
        return grid_status(mixer)
    if action == "cell":
        return _picture(grids.now, place)
    if action == "resume":
        return {"planned": plan_as_data(grids.resume().plan)}
    if not axes and not is_map:
        raise RecipeError("a grid needs an axis", hint='"axes": {"x": "alpha: 0-1 [5]"}')
    plan, studio = grids.plan(rest, axes, drawing, map=is_map)
    if action == "start":
        grids.begin(plan, studio)
    return {"planned": plan_as_data(plan)}


def _axes(given: object) -> dict[str, Asked]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise RecipeError("axes must be an object", hint='{"x": "alpha: 0-1 [5]"}')
    found = cast("Mapping[str, object]", given)
    odd = [name for name in found if name not in NAMES]
    if odd:
        raise RecipeError(f"there is no axis '{odd[0]}'", hint="x, y, z")
    return {name: read_asked(str(found[name])) for name in NAMES if found.get(name)}


def _drawing(given: object, mixer: Mixer) -> DrawSettings:
    if not isinstance(given, Mapping) and given is not None:
        raise RecipeError("drawing must be an object", hint='{"prompt": "a cat", "steps": 20}')
    return read_settings(cast("Mapping[str, object]", given or {}), mixer.host.usual())


def _picture(now: Running | None, place: object) -> Data:
    at = tuple(cast("list[int]", place)) if isinstance(place, list) else ()
    done = next((each for each in now.finished.values() if each.place == at), None) if now else None
    if now is None or done is None or done.record.failed:
        raise MergeError("there is no picture of this cell", hint="GET grid tells which there are")
    raw = now.store.path(done.name).read_bytes()
    return {"picture": base64.b64encode(raw).decode("ascii"), "infotext": done.record.infotext}
