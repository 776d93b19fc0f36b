"""The heart of test_swap where the host keeps its weights in other places, orders and number formats."""

from __future__ import annotations

import pytest

# a fixture and tests are taken over by their names
from tests.webui.server import WebUI
from tests.webui.test_swap import (  # noqa: F401
    LORA,
    MERGE,
    drawn,
    test_a_lora_active_before_during_and_after,
    test_a_second_merge_over_the_first_is_the_second,
    test_an_error_half_way,
    test_the_live_merge_draws_what_the_saved_one_draws,
)

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module", params=["lowvram", "channels_last"])
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.needs("fp8_storage")
@pytest.mark.parametrize("cached", [True, False])
def test_weights_in_eight_bits(ui: WebUI, way: str, cached: bool) -> None:
    if way == "lowvram":
        pytest.skip("on a CPU the WebUI cannot draw from eight bits with --lowvram")
    whole = ui.draw()
    ui.options(cache_fp16_weight=cached)
    ui.options(fp8_storage="Enable")
    try:
        ui.pick("pastel")  # a change in place draws otherwise than a load where channels are last
        ui.pick("ink")
        before, before_lora = ui.draw(), ui.draw(prompt=LORA)
        assert before != whole
        ui.desk("save", **MERGE, name="mix", overwrite=True)
        ui.pick("mix")
        saved, saved_lora = ui.draw(), ui.draw(prompt=LORA)
        ui.pick("ink")
        assert ui.draw(prompt=LORA) == before_lora
        ui.desk("apply", **MERGE)
        assert ui.draw(prompt=LORA) == saved_lora
        assert ui.draw() == saved
        ui.desk("restore")
        assert ui.draw(prompt=LORA) == before_lora
        assert ui.draw() == before
    finally:
        ui.options(fp8_storage="Disable", cache_fp16_weight=False)
