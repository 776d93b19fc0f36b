"""What a contributor meets first: links, paths, the versions of the hooks, issue forms, the hosted CI."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import lib_merge
import start

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
PAGES = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", ".github/PULL_REQUEST_TEMPLATE.md")
FORMS = sorted(path.name for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
ELEMENTS = {"markdown", "input", "textarea", "dropdown", "checkboxes"}  # those that GitHub's forms have
pytestmark = pytest.mark.newest_only


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: str) -> set[str]:
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", read(page)):
        if link.startswith("https://"):
            continue
        name, _, part = link.partition("#")
        target = (ROOT / page).parent / name
        assert target.exists(), link
        assert not part or part in anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_is_named_is_there(page: str) -> None:
    for name in re.findall(r"(?:tests|lib_merge|docs|samples|requirements)/[\w./-]*\w", read(page)):
        assert (ROOT / name).exists(), name


def test_the_newest_release_of_the_changelog_is_this_version() -> None:
    releases = re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", read("CHANGELOG.md"), re.MULTILINE)
    assert releases[0][0] == lib_merge.__version__
    assert [date for _, date in releases] == sorted((date for _, date in releases), reverse=True)


def test_hooks_have_the_versions_that_the_checks_have() -> None:
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)", read("requirements/test.txt"), re.MULTILINE))
    pins |= json.loads(read("package.json"))["devDependencies"]
    hooks = [
        hook for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]
    ]
    versions = [
        re.split("==|@", requirement) for hook in hooks for requirement in hook["additional_dependencies"]
    ]
    assert {name for name, _ in versions} >= {"ruff", "codespell", "prettier"}
    assert [(name, version) for name, version in versions if pins[name] != version] == []


def test_prettier_formats_the_same_files_as_a_hook_and_as_a_check() -> None:
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    chosen = re.compile(next(hook["files"] for hook in hooks if hook["id"] == "prettier"))
    names = [
        "javascript/wire.js",
        "tests/javascript/wire.test.js",
        "package.json",
        "eslint.config.mjs",
        "style.css",
    ]
    assert start.PRETTY == ("{javascript,tests/javascript}/*", "*.{css,json,mjs}")
    assert [name for name in names if not chosen.search(name)] == []
    assert not chosen.search("docs/measured.json")


@pytest.mark.parametrize("name", FORMS)
def test_an_issue_form_has_what_github_asks_of_one(name: str) -> None:
    form: dict[str, Any] = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / name).read_text("utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [element for element in form["body"] if element["type"] != "markdown"]
    assert {element["type"] for element in form["body"]} <= ELEMENTS
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    choices = [field for field in fields if field["type"] in ("dropdown", "checkboxes")]
    assert all(field["attributes"]["options"] for field in choices)


def test_the_bug_form_asks_for_host_version_recipe_and_log() -> None:
    form = yaml.safe_load(read(".github/ISSUE_TEMPLATE/bug.yml"))
    assert {"host", "version", "recipe", "log"} <= {element.get("id") for element in form["body"]}


def test_the_hosted_ci_runs_the_fast_tests_on_every_system_and_python() -> None:
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    job = workflow["jobs"]["fast"]
    assert {system.partition("-")[0] for system in job["strategy"]["matrix"]["system"]} == {
        "ubuntu",
        "windows",
        "macos",
    }
    assert job["strategy"]["matrix"]["python"] == ["3.10", "3.11", "3.12", "3.13"]
    commands = [step["run"].split() for step in job["steps"] if "run" in step]
    assert commands == [["python", "start.py", "test", "--pins", "newest"]]
    assert "newest" in start.SETS


def test_what_the_hosted_ci_tests_is_there() -> None:
    steps = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]["checks"]["steps"]
    paths = re.findall(r"tests/\S+", " ".join(step.get("run", "") for step in steps))
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
