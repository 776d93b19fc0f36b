"""Scores within a time limit: a scorer that hangs fails its trial, and the study goes on.

A thread cannot be ended from outside: one that hangs is left alone, and while it runs the scorer is not
asked again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lib_merge.errors import MergeError

if TYPE_CHECKING:
    from PIL.Image import Image

    from lib_merge.search.scorers.scorer import Scorer


class TimedScorer:
    """A scorer with a time limit in seconds; what it raises becomes a MergeError with one sentence."""

    def __init__(self, scorer: Scorer, seconds: float, name: str) -> None:
        self._scorer, self._seconds, self._name = scorer, seconds, name
        self._hanging: threading.Thread | None = None

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> float:
        """The score; MergeError where there is none in time, or it is no number."""
        if self._hanging is not None and self._hanging.is_alive():
            raise MergeError(f"the score '{self._name}' still has no answer to earlier pictures")
        answers: list[object] = []

        def run() -> None:
            try:
                answers.append(self._scorer.score(images, prompts))
            except BaseException as failure:  # whatever a plug-in raises
                answers.append(failure)

        thread = threading.Thread(target=run, name="merge-desk-scorer", daemon=True)
        thread.start()
        thread.join(self._seconds)
        if not answers:
            self._hanging = thread
            raise MergeError(f"the score '{self._name}' took more than {self._seconds:g} s")
        return self._number(answers[0])

    def _number(self, answer: object) -> float:
        if isinstance(answer, MergeError):
            raise answer
        if isinstance(answer, BaseException):
            text = f"{type(answer).__name__}: {answer}".splitlines()[0]
            raise MergeError(f"the score '{self._name}' failed ({text})") from answer
        try:
            return float(answer)  # type: ignore[arg-type]
        except (TypeError, ValueError) as cause:
            kind = type(answer).__name__
            raise MergeError(f"the score '{self._name}' is no number but {kind}") from cause
