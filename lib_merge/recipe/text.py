"""The text form of a recipe: what people paste, and what is stored inside files and pictures.

    merge-desk recipe 2
    A = "ink.safetensors", sha256 = "3f2a...", autov3 = "9c01..."
    B = "pastel.safetensors"
    M = weighted_sum(A, B, alpha = supermerger[0.5, 0, 0.25, ...])
    save M, dtype = fp16, vae = a

An amount is a number; a list under the layout that says what its numbers stand for; or slots by
name, `{BASE: 0, OUT05: 0.3, *: 0.5}`, where `*` stands for all the rest (0 when left out). A list
that leaves BASE open ends with it: `supermerger[0.1, 0.2, ..., base = 0.4]`. Rules by block and by
name are `rules["*: 0.5", "OUT: 0.7", "attn1: 0.2"]` (recipe/rules.py tells their language).
`B2 = rebasin(B, to = A)` aligns one file to another before it is used (recipe/alignment.py).
`#` begins a comment. Printing is canonical: equal recipes print alike, and read back equal.
The save line may also say `text_encoder = a|b|none`, `ema = use`, `overflow = clip`, `rounding = steps` and
`prediction = a|b|eps|v|v-ztsnr`.

Recipes of version 1 are read as they are: version 2 has more words and takes none away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from lib_merge.dtypes import SOURCE, parse_save_dtype
from lib_merge.errors import MergeError, RecipeError, did_you_mean
from lib_merge.json_data import dump
from lib_merge.recipe.alignment import MODELS, REBASIN, print_alignment, read_alignment
from lib_merge.recipe.model import VAE_WORDS, Amount, Ingredient, Recipe, Setting, Step, problems_of_step
from lib_merge.recipe.numbers import Numbers, Slots, print_number, print_numbers
from lib_merge.recipe.rules import Rules, print_line, whole
from lib_merge.recipe.rules_text import parse_rules

FIRST_LINE = "merge-desk recipe 2"
READABLE = ("merge-desk recipe 1", FIRST_LINE)
HASHES = ("sha256", "autov3")
SAVING = ("dtype", "vae", "vae_sha256", "text_encoder", "ema", "overflow", "rounding", "prediction")
RULES = "rules"
TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_-]*)
      | (?P<mark>[=(){}\[\],:*])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """One word of a recipe and where it stands; `end` closes the text."""

    kind: str
    text: str
    line: int
    column: int


def print_recipe(recipe: Recipe) -> str:
    """The canonical text of a recipe."""
    lines = [FIRST_LINE]
    lines += [_print_ingredient(ingredient) for ingredient in recipe.ingredients]
    lines += [_print_step(step) for step in recipe.steps]
    return "\n".join([*lines, _print_saving(recipe)]) + "\n"


def _print_ingredient(ingredient: Ingredient) -> str:
    if ingredient.aligned is not None:
        return f"{ingredient.name} = {print_alignment(ingredient.aligned)}"
    hashes = [(name, getattr(ingredient, name)) for name in HASHES]
    told = [f"{name} = {_quoted(value)}" for name, value in hashes if value]
    return ", ".join([f"{ingredient.name} = {_quoted(ingredient.file)}", *told])


def _print_saving(recipe: Recipe) -> str:
    said = {
        "dtype": recipe.dtype.label if recipe.dtype else SOURCE,
        "vae": recipe.vae if recipe.vae in VAE_WORDS else _quoted(recipe.vae),
        "vae_sha256": recipe.vae_sha256 and _quoted(recipe.vae_sha256),
        "text_encoder": recipe.text_encoder,
        "ema": "use" if recipe.ema else "",
        "overflow": "clip" if recipe.clip else "",
        "rounding": "steps" if recipe.stepwise else "",
        "prediction": recipe.prediction,
    }
    choices = [f"{word} = {value}" for word, value in said.items() if value and value != _quoted("")]
    return ", ".join([f"save {recipe.result}", *choices])


def _quoted(text: str) -> str:
    return dump(text)


def _print_step(step: Step) -> str:
    settings = [f"{name} = {print_setting(setting)}" for name, setting in step.settings]
    return f"{step.name} = {step.method}({', '.join([*step.inputs, *settings])})"


def print_setting(setting: Setting) -> str:
    """A setting as it stands in a recipe."""
    if isinstance(setting, Numbers):
        return print_numbers(setting)
    if isinstance(setting, Rules):
        return f"{RULES}[{', '.join(json.dumps(print_line(line)) for line in setting.lines)}]"
    if isinstance(setting, Slots):
        pairs = [f"{slot}: {print_setting(value)}" for slot, value in setting.values]
        return "{" + ", ".join([*pairs, f"*: {print_setting(setting.rest)}"]) + "}"
    if isinstance(setting, tuple):
        return "[" + ", ".join(map(print_setting, setting)) + "]"
    if isinstance(setting, bool):
        return "true" if setting else "false"
    if isinstance(setting, str):
        return dump(setting)
    return print_number(setting)


def parse_lines(text: str, origin: Sequence[int], written: str) -> Recipe:
    """Read canonical lines; an error names line and column and shows the line.

    origin   for each line the number of the line that it was written in, in `written`
    """
    return _Parser(text, origin, written).recipe()


class _Parser:
    """Recursive descent over the tokens of one recipe."""

    def __init__(self, text: str, origin: Sequence[int], written: str) -> None:
        self.lines, self.origin = text.split("\n"), origin
        self.written = written.split("\n")
        self.tokens = self._tokens(text)
        self.at = 0
        self.ingredients: list[Ingredient] = []
        self.steps: list[Step] = []
        self.save: dict[str, str] = {}
        self.known: dict[str, None] = {}  # names that are defined so far

    def recipe(self) -> Recipe:
        """The whole text."""
        self._first_line()
        while self._peek().kind != "end":
            self._statement()
        made = [*self.ingredients, *self.steps]
        if not made:
            self._fail("the recipe is empty", 'write   A = "model.safetensors"')
        result = self.save.pop("result", made[-1].name)
        dtype = self.save.pop("dtype", SOURCE)
        return Recipe(
            tuple(self.ingredients),
            tuple(self.steps),
            result,
            vae=self.save.pop("vae", ""),
            dtype=parse_save_dtype(dtype),
            vae_sha256=self.save.pop("vae_sha256", ""),
            text_encoder=self.save.pop("text_encoder", ""),
            ema=self._said("ema", "drop", "use"),
            clip=self._said("overflow", "stop", "clip"),
            stepwise=self._said("rounding", "once", "steps"),
            prediction=self.save.pop("prediction", ""),
        )

    def _said(self, word: str, no: str, yes: str) -> bool:
        """Whether the save line says `yes`; `no` where it says nothing."""
        said = self.save.pop(word, no)
        if said not in (no, yes):
            raise RecipeError(f"{word} is {no} or {yes}, not '{said}'", where="the save line")
        return said == yes

    def _first_line(self) -> None:
        self._skip_newlines()
        token = self._peek()
        line = self.lines[token.line - 1].split("#")[0].strip()
        if not line.startswith("merge-desk"):
            self._fail("this is not a recipe of Merge Desk", f"the first line of one is: {FIRST_LINE}")
        if line not in READABLE:
            self._fail(
                f"this recipe is of another version: {line}", f"this program reads: {' and '.join(READABLE)}"
            )
        while self._peek().kind not in ("newline", "end"):
            self.at += 1
        self._skip_newlines()

    def _statement(self) -> None:
        name = self._take("name", "a name")
        if name.text == "save" and self._peek().text != "=":
            self._save_line()
        else:
            self._take("=", "'='")
            self._definition(name)
        if self._peek().kind != "end":
            self._take("newline", "the end of the line")
        self._skip_newlines()

    def _definition(self, name: Token) -> None:
        if self._peek().kind == "string":
            file, hashes = self._string(), self._hashes()
            sha256, autov3 = (hashes.get(each, "") for each in HASHES)
            self.ingredients.append(Ingredient(name.text, file, sha256, autov3))
            self.known[name.text] = None
            return
        method = self._take("name", "a file name in quotes or a merge method")
        self._take("(", f"'(' after {method.text}")
        if method.text == REBASIN:
            self.ingredients.append(self._aligned(name.text))
            self.known[name.text] = None
            return
        inputs, settings = self._arguments()
        step = Step(name.text, method.text, tuple(inputs), tuple(sorted(settings.items())))
        self._check(step, method)
        self.steps.append(step)
        self.known[name.text] = None

    def _check(self, step: Step, token: Token) -> None:
        """What is wrong with a step as such is told with the place where it stands."""
        try:
            for problem in problems_of_step(step, self.known):
                raise problem
        except MergeError as problem:
            where = self._where(token) + (f" ({problem.where})" if problem.where else "")
            raise type(problem)(problem.what, where=where, hint=problem.hint) from None

    def _aligned(self, name: str) -> Ingredient:
        """The file of an earlier ingredient, aligned: what stands in the brackets of `rebasin(B, to = A)`."""
        words: list[str] = []
        settings: dict[str, Setting] = {}

        def argument() -> None:
            word = self._take("name", "the name of a model or an option").text
            words.append(word)
            if len(words) > 1:
                self._take("=", f"'=' after {word}")
                models = word in MODELS
                settings[word] = self._take("name", "a model's name").text if models else self._setting()

        self._list(")", argument)
        aligned = read_alignment(words[0] if words else "", settings)
        known = {each.name: each for each in self.ingredients}
        return replace(known.get(aligned.source, Ingredient("", "")), name=name, aligned=aligned)

    def _hashes(self) -> dict[str, str]:
        """What stands behind a file's name: sha256 and autov3, each in quotes."""
        found: dict[str, str] = {}
        while self._peek().text == ",":
            self.at += 1
            word = self._take("name", "sha256 or autov3")
            if word.text not in HASHES:
                self._fail(f"'{word.text}' is no hash", did_you_mean(word.text, HASHES), word)
            self._take("=", "'='")
            found[word.text] = self._string().lower()
        return found

    def _arguments(self) -> tuple[list[str], dict[str, Setting]]:
        inputs: list[str] = []
        settings: dict[str, Setting] = {}

        def argument() -> None:
            name = self._take("name", "the name of a model or of a parameter")
            if self._peek().text == "=":
                self.at += 1
                settings[name.text] = self._setting()
            elif settings:
                self._fail("models come before parameters", f"move {name.text} to the front", name)
            else:
                inputs.append(name.text)

        self._list(")", argument)
        return inputs, settings

    def _setting(self) -> Setting:
        token = self._peek()
        if token.text == "{":
            return self._slots()
        if token.text == "[":
            self.at += 1
            amounts: list[Amount] = []
            self._list("]", lambda: amounts.append(self._amount()))
            return tuple(amounts)
        if token.text in ("true", "false"):
            self.at += 1
            return token.text == "true"
        return self._string() if token.kind == "string" else self._amount()

    def _amount(self) -> Amount:
        token = self._peek()
        if token.text == "{":
            return self._slots()
        if token.kind != "name":
            return self._number()
        self.at += 1
        if token.text == RULES:
            return self._rules()
        self._take("[", f"'[' after the layout {token.text}")
        numbers: list[float] = []
        base: list[float] = []

        def item() -> None:
            if self._peek().kind != "name":
                numbers.append(self._number())
                return
            self._take("base", "a number, or base = for a list that leaves BASE open")
            self._take("=", "'='")
            base.append(self._number())

        self._list("]", item)
        return whole(Numbers(token.text, tuple(numbers), base[0] if base else None))

    def _rules(self) -> Rules:
        self._take("[", f"'[' after {RULES}")
        lines: list[str] = []
        self._list("]", lambda: lines.append(self._string()))
        return parse_rules("\n".join(lines))

    def _slots(self) -> Slots:
        self._take("{", "'{'")
        values: dict[str, float] = {}

        def pair() -> None:
            slot = self._next(
                "a slot such as OUT05, or *", lambda token: token.kind == "name" or token.text == "*"
            )
            self._take(":", f"':' after {slot.text}")
            if slot.text in values:
                self._fail(f"{slot.text} is set twice", "keep one of them", slot)
            values[slot.text] = self._number()

        self._list("}", pair)
        rest = values.pop("*", 0.0)
        return Slots(tuple(sorted(values.items())), rest)

    def _save_line(self) -> None:
        self.save["result"] = self._take("name", "the name of what is saved").text
        while self._peek().text == ",":
            self.at += 1
            word = self._take("name", "dtype or vae")
            if word.text not in SAVING:
                self._fail(f"'{word.text}' is not a way of saving", did_you_mean(word.text, SAVING), word)
            self._take("=", "'='")
            if self._peek().kind == "string":
                self.save[word.text] = self._string()
            else:
                self.save[word.text] = self._take("name", "a word, or a file name in quotes").text

    def _list(self, closing: str, item: Callable[[], None]) -> None:
        """Items between commas up to the closing mark; a comma before it and line ends are fine."""
        self._skip_newlines()
        while self._peek().text != closing:
            item()
            self._skip_newlines()
            if self._peek().text != closing:
                self._take(",", f"',' or '{closing}'")
                self._skip_newlines()
        self.at += 1

    def _number(self) -> float:
        token = self._take("number", "a number")
        value = float(token.text)
        if value in (float("inf"), float("-inf")):
            self._fail(f"{token.text} is too large", "", token)
        return value

    def _string(self) -> str:
        token = self._take("string", "text in quotes")
        try:
            return unquoted(token.text)
        except ValueError:
            self._fail("this text in quotes cannot be read", "a backslash is written \\\\", token)

    def _take(self, wanted: str, words: str) -> Token:
        return self._next(words, lambda token: wanted in (token.kind, token.text))

    def _next(self, words: str, fits: Callable[[Token], bool]) -> Token:
        token = self._peek()
        if not fits(token):
            found = {"end": "the recipe ends", "newline": "the line ends"}.get(
                token.kind, f"there is '{token.text}'"
            )
            self._fail(f"{words} is expected, but {found}", "", token)
        self.at += 1
        return token

    def _peek(self) -> Token:
        return self.tokens[self.at]

    def _skip_newlines(self) -> None:
        while self._peek().kind == "newline":
            self.at += 1

    def _tokens(self, text: str) -> list[Token]:
        tokens: list[Token] = []
        position, line, start = 0, 1, 0
        while position < len(text):
            match = TOKEN.match(text, position)
            column = position - start + 1
            if match is None:
                odd = Token("odd", text[position], line, column)
                self._fail(f"'{text[position]}' means nothing in a recipe", "", odd)
            kind = str(match.lastgroup)
            if kind != "space":
                tokens.append(Token(kind, match.group(), line, column))
            position = match.end()
            if kind == "newline":
                line, start = line + 1, position
        return [*tokens, Token("end", "", line, position - start + 1)]

    def _fail(self, what: str, hint: str, token: Token | None = None) -> NoReturn:
        raise RecipeError(what, where=self._where(token or self._peek()), hint=hint)

    def _where(self, token: Token) -> str:
        """Line, column and the line itself; no column where the line was written as a sum."""
        line = self.origin[token.line - 1]
        shown = self.written[line - 1]
        column = f", column {token.column}" if shown == self.lines[token.line - 1] else ""
        return f"line {line}{column}" + (f": {shown.strip()}" if shown.strip() else "")


def unquoted(text: str) -> str:
    """What a text in quotes says: its escapes are JSON's.

    Where one of its backslashes begins no escape they are all parts of the name, as in "C:\\models\\ink".
    What reads as escapes throughout, as "SD15\\new" does, is told from a path by the files that there are:
    names.fitting. Raises ValueError for anything else.
    """
    try:
        return str(json.loads(text))
    except ValueError:
        if '\\"' in text or any(character < " " for character in text):
            raise
        return text[1:-1]


def is_recipe(text: str) -> bool:
    """Whether a text claims to be a recipe."""
    return text.lstrip().startswith("merge-desk recipe")
