"""The routes, with a host in memory: answers, the status of each kind of error, authentication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
fastapi = pytest.importorskip("fastapi")

from fastapi.testclient import TestClient  # noqa: E402

from lib_merge.desk.api import add_routes, basic_auth  # noqa: E402
from lib_merge.hosts.host import ListedFile  # noqa: E402
from lib_merge.hosts.standalone import StandaloneHost  # noqa: E402
from lib_merge.live import LiveModel  # noqa: E402
from lib_merge.service.merging import MergeService  # noqa: E402
from lib_merge.service.server_paths import without_paths  # noqa: E402
from lib_merge.service.services import Services  # noqa: E402
from tests.support.full_size import write_tiny  # noqa: E402
from tests.support.grid_host import SIDE, Bench  # noqa: E402
from tests.support.live_model import Memory  # noqa: E402

JSON = {"Content-Type": "application/json"}
SUM: Mapping[str, object] = {"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5}


class MemoryHost(StandaloneHost):
    """The standalone host with plain tensors in place of a pipeline."""

    memory: Memory | None = None

    def model(self) -> LiveModel:
        loaded = self.loaded().checkpoint
        assert loaded is not None
        self.memory = self.memory or Memory(loaded.path)
        return self.memory

    def load(self, checkpoint: ListedFile | None = None) -> None:
        super().load(checkpoint)
        self.memory = None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    for name in "ab":
        write_tiny(tmp_path / "models" / f"{name}.safetensors", seed=ord(name))
    return tmp_path


@pytest.fixture
def service(folder: Path) -> MergeService:
    return MergeService(MemoryHost([folder / "models"], output=folder / "out", data=folder / "data"))


@pytest.fixture
def client(service: MergeService) -> TestClient:
    app = fastapi.FastAPI()
    add_routes(app, Services(service))
    return TestClient(app)


def post(client: TestClient, word: str, body: Mapping[str, object], status: int = 200) -> Any:
    answer = client.post(f"/merge-desk/v1/{word}", json=dict(body))
    assert answer.status_code == status, answer.text
    return answer.json()


def get(client: TestClient, word: str) -> Any:
    answer = client.get(f"/merge-desk/v1/{word}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_status_before_and_after_a_swap_and_a_restore(client: TestClient) -> None:
    status = get(client, "status")
    assert status["base"] == "a"
    assert status["live"] is None
    assert status["checkpoints"] == ["a", "b"]
    report = post(client, "apply", SUM)["report"]
    assert report["keys"] > 0
    assert report["live"]["id"].startswith("merge-")
    status = get(client, "status")
    assert status["live"] == report["live"]
    assert status["engaged"]
    assert post(client, "restore", {})["report"]["live"] is None
    assert get(client, "status")["live"] is None
    assert post(client, "restore", {}) == {"report": None}


def test_restore_needs_no_body_but_comes_as_json(client: TestClient, service: MergeService) -> None:
    post(client, "apply", SUM)
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data; boundary=x"}):
        answer = client.post("/merge-desk/v1/restore", headers=headers)  # as a page of another site can
        assert answer.status_code == 400
        assert "JSON" in answer.json()["error"]["what"]
    assert service.is_live()
    assert client.post("/merge-desk/v1/restore", headers=JSON).json()["report"]["live"] is None


def test_what_a_browser_marks_as_another_sites_is_refused(client: TestClient, service: MergeService) -> None:
    for route in ("apply", "restore", "save", "grid", "plan"):
        answer = client.post(
            f"/merge-desk/v1/{route}", json=dict(SUM), headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert answer.status_code == 403
        assert "another site" in answer.json()["error"]["what"]
    assert service.engaged is None


def test_where_only_this_machine_is_served_a_foreign_name_is_refused_on_every_route(
    service: MergeService,
) -> None:
    app = fastapi.FastAPI()
    add_routes(app, Services(service), loopback_only=True)
    client = TestClient(app, base_url="http://127.0.0.1:7860")
    assert client.get("/merge-desk/v1/status").status_code == 200
    for headers in ({"Host": "evil.example:7860"}, {"Host": "127.0.0.1.evil.example:7860"}):
        assert client.get("/merge-desk/v1/status", headers=headers).status_code == 403
        assert client.post("/merge-desk/v1/restore", headers={**JSON, **headers}).status_code == 403
    assert client.get("/merge-desk/v1/status", headers={"Host": "a.gradio.live"}).status_code == 200


def test_a_defect_is_a_sentence_and_no_500(client: TestClient, service: MergeService) -> None:
    def broken(**_: object) -> None:
        raise AttributeError("'SdModelData' object has no attribute 'was_loaded_at_least_once'")

    service.host.checkpoints = broken  # type: ignore[assignment,method-assign]
    for answer in (client.get("/merge-desk/v1/status"), client.post("/merge-desk/v1/apply", json=dict(SUM))):
        assert answer.status_code == 503
        assert "AttributeError" in answer.json()["error"]["what"]
        assert "log" in answer.json()["error"]["try"]


def test_a_recipe_does_what_the_words_do(client: TestClient) -> None:
    live = post(client, "apply", SUM)["report"]["live"]
    again = post(client, "apply", {"recipe": live["recipe"]})["report"]["live"]
    assert (again["id"], again["name"]) == (live["id"], live["name"])  # its files have hashes by now


def test_methods_are_the_command_lines(client: TestClient) -> None:
    methods = {method["name"]: method for method in get(client, "methods")}
    (alpha,) = methods["weighted_sum"]["parameters"]
    assert alpha["name"] == "alpha"
    assert alpha["range"] == [0, 1]


def test_rules_are_tried_on_a_checkpoint_of_the_list(client: TestClient) -> None:
    report = post(client, "rules", {"a": "a", "weights": "0.5; attn2.to_k: 0.2"})
    assert report["hits"][1] == {"line": 2, "text": "attn2.to_k: 0.2", "hits": 16, "wins": 16}
    for body, status in (
        ({"a": "nobody", "weights": "1; OUT: 0"}, 404),
        ({"a": "a", "weights": "out05: 1"}, 422),
        ({"b": "a"}, 422),
    ):
        assert post(client, "rules", body, status)["error"]["what"]


def test_a_plan_says_what_it_would_do(client: TestClient) -> None:
    plan = post(client, "plan", {**SUM, "alpha": {"OUT05": 0.25}})
    assert plan["slots"]["OUT05"]["amounts"] == {"A": 0.75, "B": 0.25}
    assert plan["sources"] == {"A": "a.safetensors", "B": "b.safetensors"}
    assert get(client, "status")["live"] is None


def test_save_writes_once_and_overwrites_when_asked(client: TestClient, folder: Path) -> None:
    saved = post(client, "save", {**SUM, "name": "mix", "dtype": "fp16"})
    assert saved["name"] == "mix"
    assert (folder / "out" / saved["file"]).stat().st_size == saved["bytes"]
    assert "mix" in get(client, "status")["checkpoints"]
    error = post(client, "save", {**SUM, "name": "mix"}, 409)["error"]
    assert error["what"]
    assert post(client, "save", {**SUM, "name": "mix", "overwrite": True})["sha256"]
    assert post(client, "save", {**SUM, "name": "mix", "format": "ckpt"})["file"] == "mix.ckpt"


@pytest.mark.parametrize(
    ("word", "body", "status"),
    [
        ("apply", {**SUM, "b": "bb"}, 404),
        ("plan", {**SUM, "vae": "none.of.these"}, 404),
        ("save", {**SUM, "a": "/etc/passwd", "name": "x"}, 404),
        ("apply", {**SUM, "b": "../models/b.safetensors"}, 404),
        ("apply", {**SUM, "method": "no_such"}, 422),
        ("apply", {**SUM, "alhpa": 1}, 422),
        ("apply", {**SUM, "alpha": "much"}, 422),
        ("apply", {**SUM, "weights": "1, 2"}, 422),
        ("apply", {**SUM, "name": "x"}, 422),
        ("apply", {"recipe": "A = "}, 422),
        ("apply", {"recipe": 5}, 422),
        ("apply", {"recipe": "a + b = M", "alpha": 0.5}, 422),
        ("save", {"recipe": "a + b = M", "dtype": "bogus", "name": "x"}, 422),
        ("grid", {"recipe": "a + b = M", "b": "b", "axes": {"x": "alpha: 0, 1"}, "action": "plan"}, 422),
        ("grid", {**SUM, "axes": {"x": "alpha: 0, 1"}, "action": "plan", "map": "false"}, 422),
        ("apply", {"a": "a"}, 422),
        ("restore", {"a": "a"}, 422),
        ("save", {**SUM}, 422),
        ("save", {**SUM, "name": "../up"}, 422),
        ("save", {**SUM, "name": "x", "format": "exe"}, 422),
        ("save", {**SUM, "name": "x", "overwrite": "yes"}, 422),
        ("save", {**SUM, "name": ["x"]}, 422),
    ],
)
def test_refusals_say_what_is_wrong(
    client: TestClient, folder: Path, word: str, body: Mapping[str, object], status: int
) -> None:
    error = post(client, word, body, status)["error"]
    assert set(error) == {"what", "where", "try"}
    assert error["what"]
    assert str(folder) not in str(error)


@pytest.mark.parametrize(
    "raw",
    [
        *("[1]", "{", '"text"', "null", "\xff", "[" * 100_000),
        *('{"alpha": NaN}', '{"a": "\\ud800"}', '{"alpha": ' + "9" * 5000 + "}"),
    ],
)
def test_what_is_no_json_object_is_a_bad_request(client: TestClient, raw: str) -> None:
    answer = client.post("/merge-desk/v1/apply", content=raw.encode("latin-1"), headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["what"]


def test_a_body_may_not_be_endless(client: TestClient) -> None:
    body = b" " * (1 << 20) + b"{}"
    assert client.post("/merge-desk/v1/plan", content=body, headers=JSON).status_code == 400


def test_a_page_of_another_site_can_send_nothing(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post("/merge-desk/v1/apply", content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 400
        assert "JSON" in answer.json()["error"]["what"]


def test_a_host_that_refuses_is_a_conflict(client: TestClient, service: MergeService, folder: Path) -> None:
    service.host._chosen = None  # type: ignore[attr-defined]
    assert "no checkpoint" in post(client, "apply", SUM, 409)["error"]["what"]


def test_a_damaged_file_is_reported_without_its_folder(client: TestClient, folder: Path) -> None:
    broken = folder / "models" / "b.safetensors"
    broken.write_bytes(broken.read_bytes()[:5000])
    error = post(client, "apply", SUM, 422)["error"]
    assert "b.safetensors" in str(error)
    assert str(folder) not in str(error)


def test_messages_about_files_and_our_errors_hold_no_folder(
    client: TestClient, service: MergeService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = folder / "models" / "lost.safetensors"
    monkeypatch.setattr(
        service.host, "unreadable_files", lambda: {"lost": f"[Errno 13] Permission denied: '{lost}'"}
    )
    service.report_failure("a job's begin", RuntimeError(f"{lost} is gone"))
    status = get(client, "status")
    assert "lost.safetensors" in status["note"]
    assert "lost.safetensors" in status["unreadable"]["lost"]
    assert str(folder) not in str(status)


def test_a_grid_that_ends_with_an_error_tells_no_folder(folder: Path) -> None:
    services, app = Services(Bench(folder, folder / "models").service), fastapi.FastAPI()
    add_routes(app, services)
    client = TestClient(app)
    drawing = {"width": SIDE, "height": SIDE}
    post(client, "grid", {**SUM, "axes": {"x": "alpha: 0, 1"}, "drawing": drawing})
    now = services.grids.job
    assert now is not None
    assert services.grids.wait(280)
    failed = replace(
        now.finished_cells[0].record, problem=f"{folder / 'models' / 'b.safetensors'} is cut short"
    )
    now.finished_cells[0] = replace(now.finished_cells[0], record=failed)
    now.failure = OSError(f"[Errno 28] No space left on device: '{folder / 'data' / 'cell.json'}'")
    status = get(client, "grid")
    assert status["cells"][0]["problem"] == "b.safetensors is cut short"
    assert "cell.json" in status["problem"]
    assert str(folder) not in str(status)


def test_only_the_hosts_accounts_may_ask(service: MergeService) -> None:
    app = fastapi.FastAPI()
    add_routes(app, Services(service), basic_auth("ann:one,bob:two:three"))
    client = TestClient(app)
    assert client.get("/merge-desk/v1/status").status_code == 401
    assert client.post("/merge-desk/v1/restore", headers=JSON).status_code == 401
    assert client.get("/merge-desk/v1/status", auth=("ann", "two:three")).status_code == 401
    assert client.get("/merge-desk/v1/status", auth=("ann", "one")).status_code == 200
    assert client.get("/merge-desk/v1/status", auth=("bob", "two:three")).status_code == 200


def test_an_account_without_a_colon_is_nobodys_and_letters_beyond_ascii_are_no_crash(
    service: MergeService,
) -> None:
    app = fastapi.FastAPI()
    add_routes(app, Services(service), basic_auth("ann,jürgen:grün,bob:two"))
    client = TestClient(app)
    for account in (("ann", ""), ("ann", "ann"), ("", ""), ("jürgen", "x"), ("jürgen", "grün")):
        assert client.get("/merge-desk/v1/status", auth=account).status_code == 401  # as at the host's API
    assert client.get("/merge-desk/v1/status", auth=("bob", "two")).status_code == 200
    raw = {"Authorization": "Basic /////w=="}
    assert client.get("/merge-desk/v1/status", headers=raw).status_code == 401


def test_paths_are_taken_out_of_texts() -> None:
    folders = [Path("/srv/my models/sub"), Path("/srv/my models")]
    assert without_paths("/srv/my models/sub/x.ckpt is gone", folders) == "x.ckpt is gone"
    assert without_paths("in /home/me/a.safetensors, key b") == "in a.safetensors, key b"
    assert without_paths("C:\\models\\a.ckpt") == "a.ckpt"
    assert without_paths("3/4 of it, and/or less") == "3/4 of it, and/or less"
