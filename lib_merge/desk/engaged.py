"""The merge that is in memory, as a page shows it that did not ask for it: reloaded, a second tab, the API's.

The mixer keeps what was asked for; its `id` changes with that, so that a page knows when the merge was
changed elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lib_merge.desk.mixer import Body, Mixer
from lib_merge.desk.paste import Setup, setup_of
from lib_merge.errors import MergeError

EXTRAS = ("weights", "adjust")  # beside the faders, in the room Weights
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
    notes  what the page cannot show, in sentences
    """

    id: str = ""
    setup: Setup | None = None
    align: bool = False
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
    return Engaged(engaged_id(mixer), setup, bool(body.get("align")), (*notes, *setup.notes))


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
