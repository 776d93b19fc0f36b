"""The routes of reports: checkpoints by the host's names, no folder in an answer, plain refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
fastapi = pytest.importorskip("fastapi")

from fastapi.testclient import TestClient  # noqa: E402

from lib_merge.architectures import read_header  # noqa: E402
from lib_merge.desk.api import add_routes  # noqa: E402
from lib_merge.report.similarity.comparison import compare, comparison_to_dict  # noqa: E402
from lib_merge.service.services import Services  # noqa: E402
from tests.support.desk_host import PaperHost, PaperService  # noqa: E402
from tests.support.full_size import write_tiny  # noqa: E402

pytestmark = pytest.mark.newest_only


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report-api")
    for name in ("ink", "pastel"):
        write_tiny(folder / f"{name}.safetensors", seed=len(name))
    write_tiny(folder / "torn.safetensors", without=["model.diffusion_model.middle_block.2."])
    return folder


@pytest.fixture
def client(folder: Path, tmp_path: Path) -> TestClient:
    app = fastapi.FastAPI()
    add_routes(app, Services(PaperService(PaperHost(folder, tmp_path / "data"))))
    return TestClient(app)


def post(client: TestClient, word: str, body: Mapping[str, object], status: int = 200) -> Any:
    answer = client.post(f"/merge-desk/v1/{word}", json=dict(body))
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize("more", [{}, {"base": "torn"}, {"kind": "asim2", "seed": 3}], ids=str)
def test_compare_answers_what_the_command_prints(
    client: TestClient, folder: Path, more: dict[str, Any]
) -> None:
    ink, pastel, torn = (read_header(folder / f"{name}.safetensors") for name in ("ink", "pastel", "torn"))
    settings: dict[str, Any] = {**more, **({"base": torn} if "base" in more else {})}
    kind = settings.pop("kind", "weights")
    expected = comparison_to_dict(compare(ink, [pastel], kind, **settings))
    answer = post(client, "compare", {"reference": "ink", "models": ["pastel"], **more})
    assert answer["models"][0]["slots"] == expected["models"][0]["slots"]
    assert answer["models"][0]["totals"] == expected["models"][0]["totals"]
    assert answer["reference"] == {"name": "ink", "file": "ink.safetensors"}
    assert (answer["kind"], answer["seed"]) == (expected["kind"], expected["seed"])


def test_check_finds_what_is_broken(client: TestClient) -> None:
    sound, torn = post(client, "check", {"models": ["ink", "torn"]})["files"]
    assert (sound["name"], sound["healthy"], sound["findings"]) == ("ink", True, [])
    assert torn["healthy"] is False
    assert {finding["slot"] for finding in torn["findings"]} == {"M00"}


def test_answers_hold_no_folder_of_the_server(client: TestClient, folder: Path) -> None:
    answers = [
        client.post(
            "/merge-desk/v1/compare", json={"reference": "ink", "models": ["torn"], "base": "pastel"}
        ),
        client.post("/merge-desk/v1/check", json={"models": ["torn"], "base": "ink"}),
    ]
    assert all(answer.status_code == 200 and str(folder) not in answer.text for answer in answers)


@pytest.mark.parametrize(
    ("word", "body", "status", "message"),
    [
        ("compare", {"reference": "ink", "models": ["pastle"]}, 404, "pastle"),
        ("compare", {"reference": "ink"}, 422, "no model is chosen"),
        ("compare", {"reference": "ink", "models": ["pastel"], "kind": "looks"}, 422, "looks"),
        ("compare", {"reference": "ink", "models": [1]}, 422, "list of names"),
        ("compare", {"a": "ink", "b": "pastel"}, 422, "'a' is nothing that a comparison takes"),
        ("check", {"models": []}, 422, "no model is chosen"),
        ("check", {"models": ["ink"], "kind": "weights"}, 422, "nothing that a check takes"),
    ],
)
def test_what_cannot_be_done_is_said(
    client: TestClient, word: str, body: dict[str, object], status: int, message: str
) -> None:
    assert message in post(client, word, body, status)["error"]["what"]
