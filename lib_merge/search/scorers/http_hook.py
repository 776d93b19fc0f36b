"""A scorer behind an HTTP address of the user's: the pictures are posted, and a number comes back.

    POST ADDRESS   {"prompts": ["a cat", ...], "images": ["<PNG, base64>", ...]}
    answer         {"score": 0.7}

Only this address is asked, without a proxy, and a redirection is refused.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from lib_merge.errors import MergeError, RecipeError
from lib_merge.json_data import expect_number, expect_object, load
from lib_merge.search.scorers.scorer import Scorer, ScorerContext, ScorerKind

if TYPE_CHECKING:
    from PIL.Image import Image

HTTP_ID, ADDRESS = "http", "address"  # the scorer, and its setting
MOST_ANSWER = 1 << 16  # bytes
ANSWER_SECONDS = 60.0


class NoRedirection(HTTPRedirectHandler):
    """Refuses to go to another address."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """None: the answer is an error then."""


@dataclass(frozen=True)
class HttpScorer:
    """Posts pictures to an address; MergeError for whatever is no answer of it."""

    address: str
    seconds: float = ANSWER_SECONDS

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> float:
        """The number that the address answers."""
        body = json.dumps({"prompts": list(prompts), "images": [_png(image) for image in images]})
        request = Request(self.address, body.encode(), {"Content-Type": "application/json"}, method="POST")
        opener = build_opener(ProxyHandler({}), NoRedirection())
        try:
            with opener.open(request, timeout=self.seconds) as answer:
                text = answer.read(MOST_ANSWER + 1)
        except (URLError, OSError) as cause:
            raise MergeError(f"the scorer does not answer: {cause}", where=self.address) from cause
        try:
            if len(text) > MOST_ANSWER:
                raise ValueError("it is too long")
            return expect_number(expect_object(load(text))["score"])
        except (ValueError, KeyError) as cause:
            what = f"the scorer's answer has no score: {cause}"
            raise MergeError(what, where=self.address, hint='{"score": 0.7}') from cause


def _png(image: Image) -> str:
    stream = BytesIO()
    image.save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")


def _make(argument: str, context: ScorerContext) -> Scorer:
    address = argument or context.setting(HTTP_ID, ADDRESS)
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        what = f"'{address}' is no address" if address else "the scorer 'http' has no address"
        hint = f'http(http://127.0.0.1:9000/score), or "{HTTP_ID}": {{"{ADDRESS}": URL}} in scorers.json'
        raise RecipeError(what, hint=hint)
    return HttpScorer(address)


HTTP_HOOK = ScorerKind(HTTP_ID, "the number that an address of yours answers", _make, "ADDRESS")
