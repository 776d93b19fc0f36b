"""What the desk's buttons do: plain values in, plain values out, no Gradio and no host of a name.

Every function answers, whatever happens: an error comes back as a `Problem` beside what is still true.
"""

from __future__ import annotations

import base64
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from typing import Any, TypeVar, cast

from lib_merge.architectures import Family, family_by_id, identify
from lib_merge.desk import presets
from lib_merge.desk.effect import Effects, effects_of, held_in_words, ignored_rules, moved_slots
from lib_merge.desk.engaged import Engaged, changes_in_words, engaged_id, engaged_of
from lib_merge.desk.mixer import Body, Mixer
from lib_merge.desk.presets import Preset
from lib_merge.desk.server_paths import without_paths
from lib_merge.desk.view import (
    AS_SOURCE,
    DTYPES,
    FADED,
    OF_THE_FILE,
    VAE_FADER,
    VAE_OF_A,
    VAES,
    Answer,
    Marks,
    Problem,
    Scene,
    board_of,
    desk_methods,
    fact_sheet,
    method_by_title,
    method_view,
    no_block_weights,
    page_number,
    read_page,
    readings_of,
    said,
    status_line,
)
from lib_merge.errors import MergeError, RecipeError
from lib_merge.hosts.host import DrawSettings, Picture
from lib_merge.hosts.pictures import png_facts
from lib_merge.picture import read_settings
from lib_merge.plan import Plan
from lib_merge.plan.fold import Source
from lib_merge.plan.ruler import slots_of
from lib_merge.registry import Method
from lib_merge.report.sheet import card_of

Result = TypeVar("Result")

USUAL_FAMILY = "sd1"  # what is drawn while no A is chosen
MOST_NOTES = 3  # rows of a preset file that are told one by one
MOST_AMOUNT = 1e9  # of a fader that is kept as a preset
VAE = "VAE"
UP = 0.37  # an amount at which nothing is A's alone or B's alone

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What the lists above the faders say; method, vae and dtype in the lists' own words."""

    a: str = ""
    b: str = ""
    c: str = ""
    method: str = ""
    vae: str = VAE_OF_A
    dtype: str = AS_SOURCE
    align: bool = False


@dataclass(frozen=True)
class Offer:
    """What the lists offer, and what A should be until the user chooses one.

    unreadable  the files that cannot be read, and why, "" for none
    """

    checkpoints: tuple[str, ...]
    methods: tuple[str, ...]
    vaes: tuple[str, ...]
    dtypes: tuple[str, ...]
    loaded: str
    unreadable: str = ""


@dataclass(frozen=True)
class Move:
    """What the page sends: the number of the move, what to do, and where the faders stand.

    engaged  the merge in memory as far as the page knows (see desk.engaged), None to ask without regard
    """

    seq: int = 0
    action: str = ""
    task: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    name: str = ""
    new_name: str = ""
    family: str = ""
    engaged: str | None = None

    @classmethod
    def read(cls, text: str) -> Move:
        """From the page's JSON; what is missing is as in a fresh page."""
        found = read_page(text)
        parameters: object = found.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise RecipeError("the page sent its faders in no form that is known", hint="reload the page")
        return cls(
            page_number(found, "seq"),
            str(found.get("action", "")),
            str(found.get("task", "")),
            cast("dict[str, object]", parameters),
            str(found.get("name", "")),
            str(found.get("new_name", "")),
            str(found.get("family", "")),
            None if found.get("engaged") is None else str(found["engaged"]),
        )


class Desk:
    """The handlers of one desk."""

    def __init__(self, mixer: Mixer) -> None:
        self.mixer = mixer

    # --- what is there ---

    def offer(self, *, refresh: bool = False) -> Offer:
        """What the lists offer."""
        host = self.mixer.host
        names = tuple(each.name for each in host.checkpoints(refresh=refresh))
        return Offer(
            names,
            tuple(method.title for method in desk_methods()),
            (*VAES, *(each.name for each in host.vaes())),
            tuple(DTYPES),
            self.mixer.status().base,
            "; ".join(f"{name}: {without_paths(why)}" for name, why in self.mixer.unreadable().items()),
        )

    def usual(self) -> DrawSettings:
        """What to draw with until the user says otherwise, even where no checkpoint is there to ask."""
        try:
            return self.mixer.host.usual()
        except (MergeError, OSError):
            return DrawSettings()

    def scene(self, choice: Choice) -> Scene:
        """Everything that the faders are drawn from; reads headers and no more."""
        problem = None
        family = family_by_id(USUAL_FAMILY)
        try:
            family = self._family(choice.a) or family
        except Exception as error:
            problem = said(error)
        known, mine = self._presets(family)
        method = method_by_title(choice.method)
        unused = no_block_weights(method)
        plan, misfit = self._tried(choice, method)
        return Scene(
            json.dumps(asdict(choice)),
            family.id,
            family.title,
            board_of(family),
            family.numbers,
            family.groups,
            readings_of(family),
            method_view(method),
            known,
            _still(family, choice, unused, plan),
            unused,
            _empty(choice, method.most_models or 2),
            status_line(self.mixer.status()),
            engaged_id(self.mixer),
            problem or mine or misfit,
        )

    def _family(self, name: str) -> Family | None:
        if not name:
            return None
        header = self.mixer.header(self.mixer.checkpoint(name))
        return identify(header.tensors, metadata=header.metadata, where=name).family

    def _tried(self, choice: Choice, method: Method) -> tuple[Plan | None, Problem | None]:
        """What a merge with every fader up would do, or why there is none, before the first move."""
        if _empty(choice, method.most_models or 2):
            return None, None
        try:
            return self.mixer.plan(self.body(choice, dict.fromkeys(FADED, UP))), None
        except Exception as error:
            return None, said(error)

    def _presets(self, family: Family) -> tuple[tuple[Preset, ...], Problem | None]:
        known = presets.shipped(family)
        try:
            own = presets.own(self.mixer.host.data())
        except Exception as error:
            return known, said(error)
        return (*(each for each in own if each.family == family.id), *known), None

    def marks(self, choice: Choice) -> Marks:
        """How far A and B lie apart at each fader; nothing where that cannot be said."""
        none = Marks(choice.a, choice.b)
        if not choice.a or not choice.b:
            return none
        try:
            found = self.mixer.differences(choice.a, choice.b)
        except Exception as error:
            log.info("no marks of difference: %s", error)  # the scene says why the two do not fit
            return none
        finite = {slot: far for slot, far in found.items() if math.isfinite(far)}
        return replace(none, at=finite, broken=tuple(slot for slot in found if slot not in finite))

    # --- moves ---

    def turn(self, text: str, choice: Choice, fields: Mapping[str, Any]) -> Answer:
        """One move of the page: swap in and draw, draw A alone, restore."""
        doing = {"apply": self._apply, "compare": self._compare, "restore": self._restore}

        def act(move: Move) -> Answer:
            if move.action not in doing:  # a click more than the page meant: nothing is asked
                return Answer(0, "")
            settings = self.settings(fields)
            done = doing[move.action](move, choice, settings)
            return replace(done, against=_against(choice, settings))

        return self._answered(text, act)

    def look(self, text: str, choice: Choice) -> Answer:
        """What is in memory, and what shapes the merge besides the faders; nothing is swapped in."""

        def act(move: Move) -> Answer:
            changes = self._changes(move, choice) if self._is_other(move) else ""
            return Answer(0, "", effects=self._in_effect(move, choice), changes=changes)

        return self._answered(text, act)

    def _is_other(self, move: Move) -> bool:
        """Whether a merge is in memory that this page has not seen."""
        return move.engaged is not None and engaged_id(self.mixer) not in ("", move.engaged)

    def _changes(self, move: Move, choice: Choice) -> str:
        """How the merge in memory differs from what this page would ask for, as far as it is set up."""
        asked = self.mixer.asked
        try:
            return changes_in_words(self.body(choice, move.parameters), asked) if asked else ""
        except MergeError:  # B is not chosen yet
            return ""

    def take(self) -> Engaged:
        """The merge that is in memory, for a page to take up."""
        return engaged_of(self.mixer)

    def _answered(self, text: str, act: Callable[[Move], Answer]) -> Answer:
        """What the act answers to a move of the page, or what went wrong; with the status afterwards."""
        answer = Answer(0, "")
        try:
            move = Move.read(text)
            answer = replace(answer, seq=move.seq, action=move.action)
            answer = replace(act(move), seq=move.seq, action=move.action)
        except Exception as error:
            answer = replace(answer, problem=said(error))
        answer = replace(answer, engaged=engaged_id(self.mixer))
        try:
            held = answer.status if answer.action == "apply" and not answer.elsewhere else None
            return replace(answer, status=status_line(self.mixer.status(), held))
        except Exception as error:
            return replace(answer, problem=answer.problem or said(error))

    def _apply(self, move: Move, choice: Choice, settings: DrawSettings) -> Answer:
        if self._is_other(move):  # and it is not replaced unasked
            return Answer(0, "", elsewhere=True, changes=self._changes(move, choice))
        body, before = self.body(choice, move.parameters), self.mixer.asked
        effects = self._in_effect(move, choice)
        held = held_in_words(effects, moved_slots(before, body))
        if not self.mixer.host.surface().draws:
            self.mixer.apply(body, move.task)
            return Answer(0, "", held, effects=effects)
        _, picture = self.mixer.apply_and_draw(body, settings, move.task)
        return Answer(0, "", held, picture=_data_url(picture), infotext=picture.infotext, effects=effects)

    def _in_effect(self, move: Move, choice: Choice) -> Effects:
        method = method_by_title(choice.method)
        found = effects_of(self.mixer, self._words(choice, method, move.parameters))
        rules = move.parameters.get("weights") and not _takes_rules(method)
        return replace(found, items=(ignored_rules(method), *found.items)) if rules else found

    def _compare(self, move: Move, choice: Choice, settings: DrawSettings) -> Answer:
        """A's own picture; what was in memory before is there again afterwards."""
        before = self.mixer.asked if self.mixer.is_live() else None
        only_a: Body = {"method": "weighted_sum", "a": choice.a, "b": choice.b or choice.a, "alpha": 0.0}
        try:
            _, picture = self.mixer.apply_and_draw(only_a, settings, move.task)
        finally:
            if before is None:
                self.mixer.restore(move.task)
            else:
                self.mixer.apply(before, move.task)
        return Answer(0, "", picture=_data_url(picture), infotext=picture.infotext)

    def _restore(self, move: Move, choice: Choice, settings: DrawSettings) -> Answer:
        self.mixer.restore(move.task)
        return Answer(0, "")

    def save(
        self,
        text: str,
        choice: Choice,
        name: str,
        format: str,
        overwrite: bool,
        of_the_file: Sequence[str] = (),
    ) -> Answer:
        """Write the merge under a name; `of_the_file` are words of view.OF_THE_FILE."""

        def write(move: Move) -> Answer:
            body = dict(self.body(choice, move.parameters))
            for asked in of_the_file:
                body |= OF_THE_FILE[asked]
            saved = self.mixer.save(body, name, format=format, overwrite=overwrite, task=move.task)
            sheet = fact_sheet(saved)
            cut = (("Cut to fit", saved.overflow.note()),) if saved.overflow else ()
            return Answer(0, "", sheet=(*sheet.rows(), *cut), card=card_of(sheet))

        return replace(self._answered(text, write), action="save")

    def keep(self, text: str) -> Answer:
        """Save, import, rename or delete presets of the user's; the whole list comes back."""

        def change(move: Move) -> Answer:
            family = family_by_id(move.family or USUAL_FAMILY)
            folder = self.mixer.host.data()
            notes: tuple[str, ...] = ()
            if move.action == "keep":
                presets.keep(folder, Preset(move.name, family.id, _amounts(move.parameters)))
            elif move.action == "import":
                taken = presets.take_over(folder, str(move.parameters.get("text", "")), family)
                notes = (taken.told, *taken.left_out(MOST_NOTES))
            elif move.action == "rename":
                presets.rename(folder, move.name, move.new_name, family.id)
            else:
                presets.drop(folder, move.name, family.id)
            return Answer(0, "", presets=self._presets(family)[0], notes=notes)

        return self._answered(text, change)

    def body(self, choice: Choice, parameters: Mapping[str, object]) -> Body:
        """What the mixer is asked for; raises in plain words where something is not chosen yet."""
        method = method_by_title(choice.method)
        models = method.most_models or (3 if choice.c else 2)
        body: dict[str, object] = {"method": method.id}
        for word, name in list(zip("abc", (choice.a, choice.b, choice.c), strict=True))[:models]:
            if not name:
                raise MergeError(f"choose {word.upper()} first", hint=_empty(choice, models))
            body[word] = name
        vae = VAES.get(choice.vae, choice.vae)
        names = [parameter.name for parameter in method.parameters]
        for name, value in parameters.items():
            if name in names:
                body[name] = value if vae == "blend" else _without_vae(value)
        body |= self._words(choice, method, parameters)
        if vae != VAES[VAE_OF_A] or self._holds_vae(choice.a):  # a U-Net alone is merged without one
            body["vae"] = vae
        return {**body, "dtype": DTYPES.get(choice.dtype, choice.dtype)}

    def _holds_vae(self, name: str) -> bool:
        try:
            header = self.mixer.header(self.mixer.checkpoint(name))
            family = identify(header.tensors, metadata=header.metadata, where=name).family
        except MergeError:
            return True  # the merge says what is wrong with this file
        return VAE in slots_of(family, tuple(header.tensors)).values()

    def _words(self, choice: Choice, method: Method, parameters: Mapping[str, object]) -> Body:
        """What is asked for besides the faders: A, rules, Adjust, aligning."""
        words: dict[str, object] = {"a": choice.a}
        for word, taken in (("weights", _takes_rules(method)), ("adjust", True)):
            if taken and parameters.get(word):
                words[word] = parameters[word]
        return {**words, "align": True} if choice.align else words

    def settings(self, fields: Mapping[str, Any]) -> DrawSettings:
        """What the fields of the page say; an empty field is as the host usually has it."""
        given = {name: value for name, value in fields.items() if value not in (None, "")}
        for name in ("prompt", "negative"):  # these may be empty, and then they are
            if name in fields:
                given[name] = fields[name] or ""
        return read_settings(given, self.usual())


def _amounts(found: Mapping[str, object]) -> Mapping[str, float]:
    """Finite numbers by slot, as faders have them."""
    for value in found.values():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MOST_AMOUNT:
            raise RecipeError("the page sent its faders in no form that is known", hint="reload the page")
    return cast("Mapping[str, float]", found)


def _takes_rules(method: Method) -> bool:
    return any(parameter.name == "alpha" for parameter in method.parameters)


def _still(family: Family, choice: Choice, unused: str, plan: Plan | None) -> Mapping[str, str]:
    """Faders that do nothing, each with the reason."""
    if unused:
        return {slot.id: unused for slot in family.slots}
    still = _without_tensors(family, plan) if plan else {}
    return still if choice.vae == VAE_FADER else {**still, VAE: f"the VAE is {_vae_words(choice.vae)}"}


def _without_tensors(family: Family, plan: Plan) -> dict[str, str]:
    """Slots of which A has nothing, or B has nothing to mix in: a U-Net alone, a file without VAE."""
    known = [slot.id for slot in family.slots]
    there = {entry.slot for entry in plan.keys}
    mixed = {entry.slot for entry in plan.keys if not isinstance(entry.expression, Source | None)}
    absent = {slot: "A has no tensors here" for slot in known if slot not in there}
    alone = {slot: "only A has tensors here, and they stay" for slot in known if slot in there - mixed}
    return {**absent, **alone}


def _without_vae(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return {slot: each for slot, each in cast("Mapping[str, object]", value).items() if slot != VAE}


def _vae_words(choice: str) -> str:
    words = {"a": "A's", "b": "B's"}
    return words.get(VAES.get(choice, choice), choice) + f"; choose '{VAE_FADER}' to mix it"


def _empty(choice: Choice, models: int) -> str:
    if not choice.a:
        return "Choose A to begin: the checkpoint that you start from."
    if not choice.b and models > 1:
        return "Choose B to begin: the faders then show how far A and B lie apart, block by block."
    if models == 3 and not choice.c:
        return "Choose C as well: this method works with three models."
    return ""


def _against(choice: Choice, settings: DrawSettings) -> str:
    return json.dumps([choice.a, repr(settings)])


def _data_url(picture: Picture) -> str:
    """As PNG, with what the host says of it inside, as WebUIs read it."""
    stream = BytesIO()
    picture.image.save(stream, format="PNG", pnginfo=png_facts(picture.infotext))
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
