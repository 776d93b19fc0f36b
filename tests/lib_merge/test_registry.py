"""Registering a merge method: its docstring is read then, and what it lacks is said then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import pytest

from lib_merge.cli import main
from lib_merge.parameters import Range
from lib_merge.registry import METHODS, Method, merge_method

if TYPE_CHECKING:
    from torch import Tensor

Amount = Annotated[float, Range(0, 1, help="0 is A, 1 is B")]


def midpoint(a: Tensor, b: Tensor, *, alpha: Amount = 0.5) -> Tensor:
    """The middle of two models.

    out = (A + B) / 2
    """
    return a.lerp(b, alpha)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(METHODS, "_methods", dict(METHODS._methods))


def registered(documentation: str | None) -> Method:
    """`midpoint` with another docstring, as the registry then has it."""

    def toy(a: Tensor, b: Tensor, *, alpha: Amount = 0.5) -> Tensor:
        return midpoint(a, b, alpha=alpha)

    toy.__doc__ = documentation
    merge_method("toy", title="Toy", source="a test")(toy)
    return METHODS.get("toy")


@pytest.mark.parametrize("indent", ["", "    ", "        "], ids=["at the margin", "by 4", "by 8"])
@pytest.mark.parametrize("remark", ["", "It is symmetric.\n"], ids=["without a remark", "with a remark"])
def test_a_formula_is_found_with_and_without_a_remark_under_it(indent: str, remark: str) -> None:
    # Python 3.13 takes the common indent of a docstring away itself, so both forms reach the registry
    lines = ["The middle of two models.", "", "    out = m / 2", "    m = A + B", "", *remark.splitlines()]
    written = "\n".join(indent + line if line and number else line for number, line in enumerate(lines))
    method = registered(written)
    assert method.summary == "The middle of two models."
    assert method.formula == "out = m / 2\nm = A + B"


def test_a_formula_is_a_paragraph_with_or_without_an_indent() -> None:
    method = registered("The middle of two models.\n\nout = (A + B) / 2\n\nIt is symmetric.\n")
    assert method.formula == "out = (A + B) / 2"


def test_a_sentence_over_two_lines_is_kept_whole() -> None:
    method = registered("The middle of\n    two models.\n\n        out = (A + B) / 2\n\n    A remark.\n")
    assert method.summary == "The middle of two models."
    assert method.formula == "out = (A + B) / 2"


def test_the_list_of_methods_shows_a_method_without_a_remark(capsys: pytest.CaptureFixture[str]) -> None:
    merge_method("midpoint", title="Midpoint", source="a test")(midpoint)
    assert main(["methods"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "midpoint" in line)
    assert line.split(maxsplit=1) == ["midpoint", "out = (A + B) / 2"]


@pytest.mark.parametrize(
    "documentation",
    [
        None,
        "",
        "The middle of two models.",
        "The middle of two models\n\n    out = (A + B) / 2\n",
        "The middle of two models.\n    out = (A + B) / 2\n",
        "The middle of two models.\n\n    It is (A + B) / 2.\n",
        "The middle of two models.\n\nIt is symmetric.\n\n    out = (A + B) / 2\n",
        "out = (A + B) / 2",
        "\n        out = (A + B) / 2\n",
    ],
    ids=[
        "none",
        "empty",
        "no formula",
        "no full stop",
        "no empty line",
        "no 'out ='",
        "formula below a remark",
        "formula alone",
        "indented formula alone",
    ],
)
def test_a_docstring_without_sentence_or_formula_is_refused_with_what_to_write(
    documentation: str | None,
) -> None:
    with pytest.raises(
        ValueError, match=r"^toy: its docstring needs one sentence.*'out = A \+ alpha"
    ) as refused:
        registered(documentation)
    assert "\n" not in str(refused.value)
    assert "toy" not in [method.id for method in METHODS.all()]
