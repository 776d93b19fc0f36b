"""Routes and tab where the host puts them: behind its accounts, without its page, beside its own tabs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webui.server import RefusedError, WebUI

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]

MERGE = {"method": "weighted_sum", "a": "ink", "b": "pastel", "alpha": 0.5}


@pytest.fixture(scope="module")
def guarded(webui: Path, stage: Path) -> Iterator[WebUI]:
    """Without a page, and with accounts."""
    with WebUI(webui, stage, "float32", "--nowebui", "--api-auth", "ann:one") as running:
        yield running


def test_without_a_page_and_with_accounts(guarded: WebUI) -> None:
    guarded.auth = ""
    with pytest.raises(RefusedError) as refused:
        guarded.desk("apply", **MERGE)
    assert refused.value.status == 401
    guarded.auth = "ann:two"
    with pytest.raises(RefusedError):
        guarded.status()
    guarded.auth = "ann:one"
    guarded.pick("ink")
    before = guarded.draw()
    guarded.desk("apply", **MERGE)
    assert guarded.draw() != before
    guarded.desk("restore")
    assert guarded.draw() == before


def test_the_first_request_may_come_before_any_picture(ui: WebUI) -> None:
    status = ui.status()
    assert "ink" in (status["base"], status["next"])  # in memory, or to be loaded by the first picture
    assert ui.desk("plan", **MERGE)["slots"]


def test_the_tab_is_there_with_the_txt2img_fields_lent_to_it(ui: WebUI) -> None:
    page = ui.get("/config")
    ids = {part["props"].get("elem_id") for part in page["components"]}
    assert {"tab_merge_desk", "merge_desk_faders"} <= ids
    assert "merge_desk_prompt" not in ids  # the host's own is used


def test_refusals_name_no_folder_of_the_server(ui: WebUI) -> None:
    for body, status in (({**MERGE, "b": "bb"}, 404), ({**MERGE, "b": "grey"}, 404), ({"recipe": "?"}, 422)):
        with pytest.raises(RefusedError) as refused:
            ui.desk("apply", **body)
        assert refused.value.status == status
        assert refused.value.error["what"]
        assert str(ui.checkpoints.parent) not in refused.value.text


def test_save_does_not_overwrite_unless_asked(ui: WebUI) -> None:
    ui.desk("save", **MERGE, name="again", overwrite=True)
    with pytest.raises(RefusedError) as refused:
        ui.desk("save", **MERGE, name="again")
    assert refused.value.status == 409
    assert "again" in ui.status()["checkpoints"]
