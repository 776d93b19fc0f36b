"""Parameters that were renamed: former names are read, and ids made from recipes stay what they were."""

from __future__ import annotations

import pytest

from lib_merge.errors import MergeError
from lib_merge.live import ident_of
from lib_merge.methods import METHODS
from lib_merge.methods.former_names import FORMER_PARAMETERS, with_current_names, with_former_names
from lib_merge.recipe import parse_recipe, print_recipe
from lib_merge.service.request import MergeRequest

HEAD = 'merge-desk recipe 2\nA = "a.safetensors"\nB = "b.safetensors"\nC = "c.safetensors"\n'
BEFORE = HEAD + "M = ties(A, B, C, count = true, density = 0.3, shares = [0.5, 0.6])\nsave M\n"
NOW = HEAD + "M = ties(A, B, C, density = 0.3, model_weights = [0.5, 0.6], count_votes = true)\nsave M\n"


@pytest.mark.parametrize("former", FORMER_PARAMETERS)
def test_a_former_name_is_that_of_a_parameter_and_no_parameter_has_it_now(former: str) -> None:
    renamed = FORMER_PARAMETERS[former]
    methods = [METHODS.get(name) for name in renamed.methods] or METHODS.all()
    taking = [m for m in methods if any(parameter.name == renamed.name for parameter in m.parameters)]
    assert taking
    for method in METHODS.all():
        assert former not in [parameter.name for parameter in method.parameters]
    for method in taking:
        assert with_current_names(method, {former: 1}) == {renamed.name: 1}
        assert with_former_names(method, {renamed.name: 1}) == {former: 1}


def test_a_recipe_with_former_names_is_the_recipe_with_those_of_today() -> None:
    assert parse_recipe(BEFORE) == parse_recipe(NOW)
    assert "model_weights" in print_recipe(parse_recipe(BEFORE))
    assert ident_of(parse_recipe(BEFORE)).id == ident_of(parse_recipe(NOW)).id


def test_a_name_that_another_method_has_is_left_alone() -> None:
    extract = METHODS.get("extract")
    assert with_former_names(extract, {"gamma": 1.0}) == {"gamma": 1.0}
    assert with_current_names(extract, {"outliers": 1.0, "gamma": 2.0}) == {"outliers": 1.0, "gamma": 2.0}


def test_a_parameter_under_both_of_its_names_is_refused() -> None:
    both = BEFORE.replace("shares = [0.5, 0.6]", "shares = [0.5, 0.6], model_weights = [0.1, 0.2]")
    with pytest.raises(MergeError, match="ties has no parameter 'shares'"):
        parse_recipe(both)
    with pytest.raises(MergeError, match="'shares'"):
        MergeRequest.from_json({"method": "ties", "shares": [1, 1], "model_weights": [1, 1]})
