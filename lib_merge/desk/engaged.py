"""The merge that is in memory, as a page shows it that did not ask for it: reloaded, a second tab, the API's.

The mixer keeps what was asked for; its `id` changes with that, so that a page knows when the merge was
changed elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from lib_merge.desk.effect import Effects, effects_of
from lib_merge.desk.mixer import Body, Mixer
from lib_merge.desk.paste import Setup, setup_of
from lib_merge.errors import MergeError

EXTRAS = ("weights", "adjust")  # beside the faders, in the room Weights
MOST_TOLD = 4  # changes that are told one by one
MOST_TEXT = 60  # characters of one of them
NAMES = {
    "weights": "the text of rules",
    "adjust": "Adjust",
    "align": "aligning",
    "dtype": "the number format",
}
UNSEEN = {  # what no list and no fader shows -> how it is named
    "beta_weights": "rules for beta",
    "layout": "the layout of its numbers",
    "text_encoder": "the text encoder",
    "ema": "EMA weights",
    "overflow": "the treatment of overflow",
}


@dataclass(frozen=True)
class Engaged:
    """What a page takes up.

    id     of what was asked for, "" where no merge is engaged
    setup  lists and faders, None where no merge is engaged; with `why` where the page has no faders for it
    align  whether B is aligned to A first
    effects  what shapes it besides the faders
    notes  what the page cannot show, in sentences
    """

    id: str = ""
    setup: Setup | None = None
    align: bool = False
    effects: Effects = field(default_factory=Effects)
    notes: tuple[str, ...] = ()


def engaged_id(mixer: Mixer) -> str:
    """Tells one engaged merge from another; "" where none is."""
    if mixer.asked is None:
        return ""
    text = json.dumps(mixer.asked, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def engaged_of(mixer: Mixer) -> Engaged:
    """What is engaged now; reads headers, touches no model. Never raises for what it cannot show."""
    body = mixer.asked
    if body is None:
        return Engaged()
    try:
        setup = _setup(mixer, body)
    except MergeError as problem:
        setup = Setup("", why=str(problem.what))
    unseen = [told for word, told in UNSEEN.items() if body.get(word)]
    if body.get("vae") == "none":
        unseen.append("a merge without VAE")
    notes = (f"Not shown here, and left out by the next move: {', '.join(unseen)}.",) if unseen else ()
    effects = effects_of(mixer, {**body, **(setup.extras if body.get("recipe") else {})})
    return Engaged(engaged_id(mixer), setup, bool(body.get("align")), effects, (*notes, *setup.notes))


def changes_in_words(mine: Body, theirs: Body) -> str:
    """What the engaged merge has that a page's own does not: "OUT05 is 0.4 and B is ink"."""
    if theirs.get("recipe"):
        return "it was made by a recipe"
    found = [
        f"{_named(word)} is {_shown(theirs.get(word))}"
        for word in dict.fromkeys((*theirs, *mine))
        if mine.get(word) != theirs.get(word) and not _by_slot(theirs.get(word))
    ]
    for word in ("alpha", "beta"):
        old, new = _by_slot(mine.get(word)), _by_slot(theirs.get(word))
        found += [f"{slot} is {_shown(new[slot])}" for slot in new if new[slot] != old.get(slot, 0.0)]
    more = f" and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
    return f"{', '.join(found[:MOST_TOLD])}{more}"


def _named(word: str) -> str:
    return word.upper() if word in ("a", "b", "c", "vae") else NAMES.get(word, word)


def _shown(value: object) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    text = " ".join(str(value).split())
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"


def _by_slot(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _setup(mixer: Mixer, body: Body) -> Setup:
    """Faders as they were asked for, and beside them the rules and Adjust that act over them."""
    if body.get("recipe"):
        return setup_of(mixer, mixer.read(body))
    beside = (*EXTRAS, *UNSEEN, "align")
    plain: Mapping[str, object] = {
        word: value
        for word, value in body.items()
        if word not in beside and not (word == "vae" and value == "none")
    }
    setup = setup_of(mixer, mixer.read(plain))
    if setup.why:
        return setup
    return replace(setup, extras={word: str(body[word]) for word in EXTRAS if body.get(word)})
