"""The heart of test_swap in a WebUI that holds its model in half precision, which a CPU draws slowly."""

from __future__ import annotations

import pytest

# a fixture and tests are taken over by their names
from tests.webui.test_swap import (  # noqa: F401
    drawn,
    test_a_lora_active_before_during_and_after,
    test_a_second_merge_over_the_first_is_the_second,
    test_a_vae_of_the_users_own_stays,
    test_an_error_half_way,
    test_the_host_reloads_its_checkpoint_over_the_merge,
    test_the_live_merge_draws_what_the_saved_one_draws,
    test_under_a_vae_of_the_users_own_lies_the_merges,
)

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def way() -> str:
    return "half"
