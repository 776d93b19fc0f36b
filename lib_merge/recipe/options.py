"""The options of a merge besides models, method and the method's parameters, each declared once.

Flags and their help, JSON fields, the save line of a recipe, lists and checkboxes of the page, grid axes and
the table in the documentation are made from these rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lib_merge.architectures import DEFAULT_LAYOUT, LAYOUTS
from lib_merge.dtypes import SAVEABLE, SOURCE
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.json_data import dump

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Recipe, which has the fields that options set; its module imports this one.
RecipeT = TypeVar("RecipeT", bound="DataclassInstance")

KEEP_A, TAKE_B, BLEND, NONE = "a", "b", "blend", "none"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option.

    name          in JSON and in a recipe; the flag has the same name, with hyphens
    title         in a sentence of the page
    help          in --help and in the documentation
    value         the value of the flag: its choices, or the kind of text
    switch        a flag without a value, in place of --name VALUE; "" for none
    switch_value  the value that the switch sets
    axis          the grid axis that sets it, "" for none
    """

    name: str
    title: str
    help: str
    value: str = ""
    switch: str = ""
    switch_value: str | bool = True
    axis: str = ""

    @property
    def flag(self) -> str:
        """The flag on the command line."""
        return self.switch or f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class ListOption(Option):
    """An option that sets a parameter by block: a list of numbers, a preset or rules.

    parameter  the parameter of the method
    """

    parameter: str


@dataclass(frozen=True, kw_only=True)
class SaveOption(Option):
    """An option of how the result is saved; also a setting of a recipe's save line.

    recipe_field   the field of Recipe that it sets
    values         word -> value of that field
    default        the word that is meant where the option is left out
    takes_file     whether any other text is a file name
    error          the message for a word that it does not take, with {} for the word
    always_printed whether recipes contain the word where it is the default, too
    clears         fields of Recipe that become invalid with another value
    list_titles    title in the page's list -> word; empty where the page has no list
    checkboxes     title of a checkbox in the page's Save box -> word
    """

    recipe_field: str
    values: Mapping[str, Any]
    default: str = ""
    takes_file: bool = False
    error: str = ""
    always_printed: bool = False
    clears: tuple[str, ...] = ()
    list_titles: Mapping[str, str] = field(default_factory=dict[str, str])
    checkboxes: Mapping[str, str] = field(default_factory=dict[str, str])

    def parse(self, word: str, *, option_name: str = "", where: str = "") -> Any:
        """The value of the recipe's field; RecipeError for a word that the option does not take.

        option_name  the option's name in the message, such as --ema
        """
        if word == self.default:
            return self.values.get(word, word)
        if word in self.values:
            return self.values[word]
        if self.takes_file:
            return word
        what = self.error.format(word) or f"{option_name or self.name} is {_or(self.values)}, not '{word}'"
        raise RecipeError(what, where=where, hint=did_you_mean(word, self.values))

    def word_of(self, value: object) -> str:
        """The word for a value of the recipe's field."""
        matching_words = (word for word, word_value in self.values.items() if word_value == value)
        return next(matching_words, str(getattr(value, "label", value)))

    def word_of_recipe(self, recipe: DataclassInstance) -> str:
        """The word for the value in a recipe."""
        return self.word_of(getattr(recipe, self.recipe_field))

    def set(self, recipe: RecipeT, value: object) -> RecipeT:
        """The recipe with another value."""
        return replace(recipe, **{self.recipe_field: value, **dict.fromkeys(self.clears, "")})

    def print(self, recipe: DataclassInstance) -> str:
        """The text in a recipe's save line, "" where it is left out."""
        word = self.word_of_recipe(recipe)
        if word == self.default and not self.always_printed:
            return ""
        return f"{self.name} = {word if word in self.values else dump(word)}"

    def list_title(self, word: str) -> str:
        """The title of a word in the page's list: a file and a dtype are their own titles."""
        return next((title for title, listed_word in self.list_titles.items() if listed_word == word), word)

    def word_of_title(self, title: str) -> str:
        """The word of a title in the page's list."""
        return self.list_titles.get(title, title)


def _or(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _same(*words: str) -> dict[str, str]:
    return {word: word for word in words}


# --- by block, and as a whole ---

WEIGHTS_OPTION = ListOption(
    name="weights",
    parameter="alpha",
    title="the text of rules",
    value="WEIGHTS",
    help="alpha by block: 26, 25, 20 or 19 numbers, a preset (GRAD_V), or rules (OUT: 0.7; attn1: 0.2)",
    axis="weights",
)
BETA_WEIGHTS_OPTION = ListOption(
    name="beta_weights",
    parameter="beta",
    title="rules for beta",
    value="WEIGHTS",
    help="beta by block",
    axis="beta weights",
)
ADJUST_OPTION = Option(
    name="adjust",
    title="Adjust",
    value="NUMBERS",
    help="SuperMerger's Adjust after the merge, up to eight numbers: detail (three numbers), contrast, "
    "brightness, cyan-red, magenta-green, yellow-blue",
    axis="adjust",
)
LAYOUT_OPTION = Option(
    name="layout",
    title="the layout of its numbers",
    value="|".join(layout.id for layout in LAYOUTS),
    help=f"the order of lists of numbers (default: {DEFAULT_LAYOUT.id})",
)
ALIGN_OPTION = Option(
    name="align",
    title="aligning",
    switch="--align",
    help="align B and C to A first: their channels are permuted to match A's (see merge-desk rebasin)",
)

# --- how the result is saved, in the order of a save line ---

DTYPE_OPTION = SaveOption(
    name="dtype",
    recipe_field="dtype",
    title="the precision",
    value="|".join((*SAVEABLE, SOURCE)),
    values={**SAVEABLE, SOURCE: None},
    default=SOURCE,
    error="a merge cannot be saved as '{}'",
    always_printed=True,
    list_titles={"as in A": SOURCE, **_same(*SAVEABLE)},
    help="dtype of the result; 8-bit dtypes are for the U-Net's matrices, the rest is then fp16 "
    f"(default: {SOURCE}, A's dtype)",
    axis="dtype",
)
VAE_OPTION = SaveOption(
    name="vae",
    recipe_field="vae",
    title="VAE",
    value="a|b|blend|none|FILE",
    values=_same(KEEP_A, TAKE_B, BLEND, NONE),
    takes_file=True,
    list_titles={"A's": KEEP_A, "B's": TAKE_B, "blend (VAE slider)": BLEND},
    checkboxes={"without VAE": NONE},
    help="which VAE the result has; none leaves it out (default: A's)",
    clears=("vae_sha256",),
    axis="VAE",
)
TEXT_ENCODER_OPTION = SaveOption(
    name="text_encoder",
    recipe_field="text_encoder",
    title="the text encoder",
    value="a|b|none",
    values=_same(KEEP_A, TAKE_B, NONE),
    error="'{}' is not a way of choosing the text encoder",
    checkboxes={"without text encoder": NONE},
    help="which text encoder the result has; none leaves it out (default: merged by the method)",
)
EMA_OPTION = SaveOption(
    name="ema",
    recipe_field="ema",
    title="EMA weights",
    value="drop|use",
    values={"drop": False, "use": True},
    default="drop",
    checkboxes={"U-Net from EMA weights": "use"},
    help="use: read the U-Net from the EMA weights of files that contain them",
)
OVERFLOW_OPTION = SaveOption(
    name="overflow",
    recipe_field="clip",
    title="the treatment of overflow",
    value="stop|clip",
    values={"stop": False, "clip": True},
    default="stop",
    checkboxes={"clamp overflow": "clip"},
    help="clip: clamp values that overflow the dtype, and count them, instead of failing",
)
ROUNDING_OPTION = SaveOption(
    name="rounding",
    recipe_field="stepwise",
    title="rounding",
    value="once|steps",
    switch="--step-by-step",
    switch_value="steps",
    values={"once": False, "steps": True},
    default="once",
    checkboxes={"round after each step": "steps"},
    help="round after each step of a recipe, to reproduce such a file (default: once, at the end)",
)
PREDICTION_OPTION = SaveOption(
    name="prediction",
    recipe_field="prediction",
    title="the prediction",
    value="a|b|eps|v|v-ztsnr",
    values=_same(KEEP_A, TAKE_B, "eps", "v", "v-ztsnr"),
    error="'{}' is not a prediction type",
    checkboxes={"marked eps": "eps", "marked v": "v", "marked v, zero terminal SNR": "v-ztsnr"},
    help="the prediction type that the result is marked with (default: that of most of the U-Net)",
)

LIST_OPTIONS = (WEIGHTS_OPTION, BETA_WEIGHTS_OPTION)
SAVE_OPTIONS = (
    DTYPE_OPTION,
    VAE_OPTION,
    TEXT_ENCODER_OPTION,
    EMA_OPTION,
    OVERFLOW_OPTION,
    ROUNDING_OPTION,
    PREDICTION_OPTION,
)
OPTIONS: tuple[Option, ...] = (*LIST_OPTIONS, ADJUST_OPTION, LAYOUT_OPTION, ALIGN_OPTION, *SAVE_OPTIONS)

VAE_CHOICES = tuple(VAE_OPTION.values)
# On a save line only: the program writes it, users need not.
VAE_SHA256_OPTION = SaveOption(
    name="vae_sha256",
    recipe_field="vae_sha256",
    title="its hash",
    help="of the VAE file",
    values={},
    takes_file=True,
)
SAVE_LINE_OPTIONS = (DTYPE_OPTION, VAE_OPTION, VAE_SHA256_OPTION, *SAVE_OPTIONS[2:])
CHECKBOXES = {tick: (option, word) for option in SAVE_OPTIONS for tick, word in option.checkboxes.items()}


def list_option(parameter: str) -> ListOption | None:
    """The option that sets a parameter by block, None for none."""
    return next((option for option in LIST_OPTIONS if option.parameter == parameter), None)


def recipe_fields(word_by_option: Mapping[str, str], *, where: str = "") -> dict[str, Any]:
    """Keyword arguments of Recipe from words by option name; options that are missing have their default."""
    return {
        option.recipe_field: option.parse(word_by_option.get(option.name, option.default), where=where)
        for option in SAVE_LINE_OPTIONS
    }


def words_of_checkboxes(ticks: Iterable[str]) -> dict[str, str]:
    """Option name -> word, for the checked boxes of the Save box; RecipeError where two contradict."""
    word_by_option: dict[str, str] = {}
    for tick in ticks:
        if tick not in CHECKBOXES:
            raise RecipeError(f"the Save box has no checkbox '{tick}'", hint=did_you_mean(tick, CHECKBOXES))
        option, word = CHECKBOXES[tick]
        if word_by_option.setdefault(option.name, word) != word:
            raise RecipeError(f"two checkboxes set {option.title} differently", hint="uncheck one of them")
    return word_by_option
