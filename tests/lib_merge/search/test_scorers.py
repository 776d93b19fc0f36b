"""Scorers measure what they say they do, and say in one sentence what they lack."""

# pyright: basic
from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import EntryPoint
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from safetensors.torch import save_file

from lib_merge.errors import CheckpointError, MergeError, RecipeError, StoreError
from lib_merge.search.scorers import plugins
from lib_merge.search.scorers.clip import clip_config, load_clip, read_head
from lib_merge.search.scorers.closeness import mean_square, ssim
from lib_merge.search.scorers.plugins import all_scorers, builtin_scorers, make_scorer
from lib_merge.search.scorers.scorer import Scorer, ScorerContext, ScoreSum, ScoreTerm, parse_score
from lib_merge.search.scorers.settings import read_scorer_settings
from lib_merge.search.scorers.statistics import (
    brightness,
    colourfulness,
    contrast,
    entropy,
    pixels_of,
    saturation,
    sharpness,
)
from lib_merge.search.spec import View

SIDE = 24


def flat(*colour: int) -> Image.Image:
    return Image.new("RGB", (SIDE, SIDE), colour)


def noise(seed: int = 1) -> Image.Image:
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


def scorer(text: str, context: ScorerContext | None = None, data: Path | None = None) -> Scorer:
    return make_scorer(parse_score(text), all_scorers(data), context or ScorerContext((View("a", 1),)))


# --- the text of a score ---

NAMES = st.sampled_from(("sharpness", "clip", "my_scorer", "http"))
ARGUMENTS = st.sampled_from(("", "A", "folder/target.png", "http://127.0.0.1:1/a?b=c*d"))


@given(
    terms=st.lists(
        st.builds(ScoreTerm, st.sampled_from((1.0, -1.0, 0.5, -2.0, 1e-05)), NAMES, ARGUMENTS),
        min_size=1,
        max_size=4,
    )
)
def test_a_score_reads_back_as_it_was_written(terms: list[ScoreTerm]) -> None:
    score = ScoreSum(tuple(terms))
    assert parse_score(str(score)) == score


@pytest.mark.parametrize(
    "text", ["", "2", "2*", "sharpness contrast", "closeness(a", "a + ", "a b(c)", "(a)"]
)
def test_a_text_that_is_no_score_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="is no score"):
        parse_score(text)


def test_a_sum_of_scorers_is_their_sum() -> None:
    image = noise()
    expected = 2 * contrast(pixels_of(image)) - 0.5 * brightness(pixels_of(image))
    assert scorer("2*contrast - 0.5*brightness").score([image], ["a"]) == pytest.approx(expected)


def test_an_unknown_scorer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match=r"(?s)no scorer 'sharpnes'.*'sharpness'"):
        scorer("sharpnes")


# --- statistics ---


def test_grey_has_no_contrast_sharpness_colour_or_entropy() -> None:
    grey = pixels_of(flat(128, 128, 128))
    assert brightness(grey) == pytest.approx(128 / 255)
    for measure in (contrast, sharpness, colourfulness, saturation, entropy):
        assert measure(grey) == pytest.approx(0, abs=1e-12)


def test_known_colours_have_known_statistics() -> None:
    assert saturation(pixels_of(flat(255, 0, 0))) == 1.0
    assert brightness(pixels_of(flat(255, 255, 255))) == pytest.approx(1)
    halves = Image.new("RGB", (SIDE, SIDE))
    halves.paste((255, 255, 255), (0, 0, SIDE // 2, SIDE))
    assert contrast(pixels_of(halves)) == pytest.approx(0.5)
    assert entropy(pixels_of(halves)) == pytest.approx(1)
    assert colourfulness(pixels_of(flat(255, 0, 0))) == pytest.approx(0.3 * (1 + 0.25) ** 0.5)


@given(seed=st.integers(0, 1000))
def test_a_blurred_picture_is_less_sharp(seed: int) -> None:
    image = noise(seed)
    assert sharpness(pixels_of(image.filter(ImageFilter.GaussianBlur(2)))) < sharpness(pixels_of(image))


@pytest.mark.parametrize("kind", [kind.id for kind in builtin_scorers() if kind.argument == ""])
def test_the_score_of_several_pictures_is_the_mean(kind: str) -> None:
    one, two = noise(1), flat(10, 200, 30)
    each = [scorer(kind).score([image], ["a"]) for image in (one, two)]
    assert scorer(kind).score([one, two], ["a", "b"]) == pytest.approx(sum(each) / 2)


def test_a_picture_of_one_pixel_has_statistics_too() -> None:
    assert scorer("sharpness + entropy + contrast").score([Image.new("RGB", (1, 1))], ["a"]) == 0


# --- closeness ---


def direct_ssim(a: Image.Image, b: Image.Image) -> float:
    """Structural similarity by its definition, window by window."""
    weights = np.array((0.299, 0.587, 0.114))
    x, y = (np.asarray(image, dtype=np.float64) / 255 @ weights for image in (a, b))
    values: list[float] = []
    for row in range(SIDE - 6):
        for column in range(SIDE - 6):
            p, q = x[row : row + 7, column : column + 7], y[row : row + 7, column : column + 7]
            covariance = ((p - p.mean()) * (q - q.mean())).mean()
            above = (2 * p.mean() * q.mean() + 1e-4) * (2 * covariance + 9e-4)
            below = (p.mean() ** 2 + q.mean() ** 2 + 1e-4) * (p.var() + q.var() + 9e-4)
            values.append(above / below)
    return float(np.mean(values))


@given(seeds=st.tuples(st.integers(0, 100), st.integers(0, 100)))
def test_the_structural_similarity_is_that_of_its_definition(seeds: tuple[int, int]) -> None:
    a, b = noise(seeds[0]), Image.blend(noise(seeds[0]), noise(seeds[1]), 0.5)
    assert ssim(a, b) == pytest.approx(direct_ssim(a, b), abs=1e-9)
    assert ssim(a, b) == ssim(b, a)
    assert ssim(a, a) == pytest.approx(1)
    assert mean_square(a, a) == 0


def test_closeness_to_a_file_is_1_for_that_picture_and_less_for_others(tmp_path: Path) -> None:
    noise().save(tmp_path / "target.png")
    context = ScorerContext((View("a", 1), View("b", 1)), folder=tmp_path)
    close = scorer("closeness(target.png)", context)
    nearer, farther = (Image.blend(noise(), flat(0, 0, 0), share) for share in (0.1, 0.5))
    assert close.score([noise(), noise()], ["a", "b"]) == pytest.approx(1)
    assert 1 > close.score([nearer], ["a"]) > close.score([farther], ["a"])


def test_closeness_to_a_folder_compares_each_picture_with_its_own(tmp_path: Path) -> None:
    for name, seed in (("1.png", 1), ("2.png", 2)):
        noise(seed).save(tmp_path / name)
    context = ScorerContext((View("a", 1), View("b", 1)), folder=tmp_path.parent)
    close = scorer(f"closeness({tmp_path.name})", context)
    assert close.score([noise(1), noise(2)], ["a", "b"]) == pytest.approx(1)
    assert close.score([noise(1)], ["a"]) == pytest.approx(1)
    assert close.score([noise(2), noise(1)], ["a", "b"]) < 0.5
    three = ScorerContext(tuple(View(name, 1) for name in "abc"), folder=tmp_path.parent)
    with pytest.raises(RecipeError, match="2 pictures for 3 prompts and seeds"):
        scorer(f"closeness({tmp_path.name})", three)


def test_closeness_to_a_model_is_to_what_that_draws() -> None:
    context = ScorerContext((View("a", 1),), model_pictures=lambda letter: [noise(ord(letter))])
    assert scorer("closeness(B)", context).score([noise(ord("B"))], ["a"]) == pytest.approx(1)


@pytest.mark.parametrize("argument", ["", "(none.png)", "(broken.png)"])
def test_closeness_to_nothing_says_so(argument: str, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no picture")
    with pytest.raises(MergeError, match=r"needs to know to what|cannot be read"):
        scorer(f"closeness{argument}", ScorerContext((View("a", 1),), folder=tmp_path))


# --- the HTTP hook ---


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler, bytes], None]) -> Generator[str]:
    """An address on loopback that answers posts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer(self, self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/score"
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def reply(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def test_the_http_hook_posts_pngs_and_prompts_and_reads_the_score() -> None:
    posted: list[bytes] = []

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        posted.append(body)
        reply(handler, b'{"score": 0.75}')

    with server(answer) as address:
        assert scorer(f"http({address})").score([noise()], ["a cat"]) == 0.75
    data = json.loads(posted[0])
    assert data["prompts"] == ["a cat"]
    image = Image.open(BytesIO(base64.b64decode(data["images"][0])))
    assert (image.format, image.tobytes()) == ("PNG", noise().tobytes())


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"score": "high"}', b'{"score": NaN}', b'{"score": 1e999}', b"x" * 70_000]
)
def test_an_answer_without_a_score_is_an_error_in_one_line(body: bytes) -> None:
    with server(lambda handler, _: reply(handler, body)) as address:
        with pytest.raises(MergeError) as caught:
            scorer(f"http({address})").score([noise()], ["a"])
        assert "the scorer's answer has no score" in caught.value.what


def test_the_http_hook_goes_nowhere_else() -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        asked.append(handler.path)
        reply(handler, b"", 307, Location="http://127.0.0.1:1/elsewhere")

    with server(answer) as address, pytest.raises(MergeError, match="does not answer"):
        scorer(f"http({address})").score([noise()], ["a"])
    assert asked == ["/score"]


@pytest.mark.parametrize("address", ["", "file:///etc/passwd", "127.0.0.1:80", "ftp://host/x", "http://"])
def test_only_an_address_of_http_is_taken(address: str) -> None:
    with pytest.raises(RecipeError, match=r"(is|has) no address"):
        scorer(f"http({address})")


def test_an_address_that_nobody_answers_is_an_error_in_one_line() -> None:
    with pytest.raises(MergeError, match="the scorer does not answer"):
        scorer("http(http://127.0.0.1:1/score)").score([noise()], ["a"])


# --- plug-ins ---


def test_a_python_file_of_the_data_folder_is_a_scorer_and_runs_only_when_named(tmp_path: Path) -> None:
    folder = tmp_path / "scorers"
    folder.mkdir()
    (folder / "reddish.py").write_text(
        "def score(images, prompts):\n"
        "    return sum(i.getpixel((0, 0))[0] / 255 for i in images) / len(images)\n"
    )
    (folder / "broken.py").write_text("raise RuntimeError('never import me')\n")
    (folder / "empty.py").write_text("")
    assert scorer("2*reddish", data=tmp_path).score([flat(255, 0, 0)], ["a"]) == 2
    with pytest.raises(MergeError, match=r"'broken' cannot be imported \(RuntimeError: never import me\)"):
        scorer("broken", data=tmp_path)
    with pytest.raises(MergeError, match="'empty' has no function 'score'"):
        scorer("empty", data=tmp_path)


def module_scorer(images: list[Image.Image], prompts: list[str]) -> float:
    """The entry point of the test below."""
    return float(len(images))


def test_a_function_of_an_installed_package_is_a_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("counting", f"{__name__}:module_scorer", plugins.ENTRY_POINTS)
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [point] if group == plugins.ENTRY_POINTS else []
    )
    monkeypatch.setattr(EntryPoint, "load", lambda self: module_scorer)
    assert scorer("counting").score([noise(), noise()], ["a", "b"]) == 2


# --- CLIP ---


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP with random weights."""
    transformers = pytest.importorskip("transformers", reason="the extra `standalone` is not installed")
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={**sizes, "hidden_act": "gelu"},
        vision_config={**sizes, "image_size": 32, "patch_size": 8, "hidden_act": "gelu"},
        projection_dim=48,
    )
    path = tmp_path_factory.mktemp("clip") / "model.safetensors"
    transformers.CLIPModel(config).save_pretrained(path.parent)
    return path


def test_the_clip_scorer_is_the_cosine_that_transformers_computes(clip_file: Path) -> None:
    from safetensors.torch import load_file
    from transformers import CLIPModel

    network = load_clip(clip_file)
    images, prompts = [noise(1), flat(200, 30, 30)], ["a red circle", "a cat"]
    theirs = CLIPModel.from_pretrained(clip_file.parent).eval()
    vectors = network.text_vectors(prompts)
    tokens = network.tokenizer(prompts, padding="max_length", max_length=77, return_tensors="pt")
    with torch.inference_mode():
        pooled = theirs.text_model(tokens["input_ids"]).pooler_output
        expected = torch.nn.functional.normalize(theirs.text_projection(pooled), dim=-1)
    assert torch.allclose(vectors, expected, atol=1e-6)
    products = (network.image_vectors(images) * vectors).sum(dim=-1)
    score = scorer(f"clip({clip_file})").score(images, prompts)
    assert score == pytest.approx(float(products.mean()), abs=1e-6)
    assert -1 <= score <= 1
    assert clip_config(load_file(clip_file))["vision_config"]["image_size"] == 32


def test_an_aesthetic_head_is_linear_layers_on_the_vectors(clip_file: Path, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    head = {
        "layers.0.weight": torch.randn(8, 48, generator=generator),
        "layers.0.bias": torch.randn(8, generator=generator),
        "layers.10.weight": torch.randn(1, 8, generator=generator),
        "layers.10.bias": torch.randn(1, generator=generator),
    }
    save_file(head, tmp_path / "head.safetensors")
    settings = {
        "clip": {"weights": str(clip_file)},
        "aesthetic": {"weights": str(tmp_path / "head.safetensors")},
    }
    context = ScorerContext((View("a", 1),), settings)
    vector = load_clip(clip_file).image_vectors([noise()])[0]
    inner = head["layers.0.weight"] @ vector + head["layers.0.bias"]
    expected = float(head["layers.10.weight"] @ inner + head["layers.10.bias"])
    assert scorer("aesthetic", context).score([noise()], ["a"]) == pytest.approx(expected, rel=1e-5)


def test_a_head_for_another_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="does not take 48 numbers"):
        read_head({"weight": torch.zeros(1, 64)}, 48)
    with pytest.raises(ValueError, match="does not end in one number"):
        read_head({"weight": torch.zeros(2, 48)}, 48)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clip", "the scorer 'clip' has no weights: nothing is downloaded"),
        ("clip(none.safetensors)", "the weights of 'clip' are missing"),
        ("clip(model.bin)", "are no safetensors file"),
        ("clip(broken.safetensors)", "these weights cannot be read"),
        ("clip(other.safetensors)", "these are not the weights of a CLIP model"),
        ("aesthetic", "the scorer 'aesthetic' has no weights"),
    ],
)
def test_missing_or_wrong_weights_are_named(text: str, said: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the extra `standalone` is not installed")
    (tmp_path / "broken.safetensors").write_text("nothing")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises((RecipeError, CheckpointError)) as caught:
        scorer(text, ScorerContext((View("a", 1),), folder=tmp_path))
    assert said in str(caught.value)


def test_the_settings_of_scorers_are_a_file_of_the_data_folder(tmp_path: Path) -> None:
    assert read_scorer_settings(tmp_path) == read_scorer_settings(None) == {}
    (tmp_path / "scorers.json").write_text(
        '{"format": "merge-desk scorers 1", "clip": {"weights": "/models/clip.safetensors"}}'
    )
    assert read_scorer_settings(tmp_path) == {"clip": {"weights": "/models/clip.safetensors"}}
    (tmp_path / "scorers.json").write_text('{"format": "merge-desk scorers 1", "clip": "x"}')
    with pytest.raises(StoreError, match="the settings of scorers cannot be read"):
        read_scorer_settings(tmp_path)
