"""What a program and a WebUI send each other for pictures of merges: requests and answers of `render/...`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

NameKind = Literal["checkpoint", "vae", "recipe", "history"]


@dataclass(frozen=True)
class DescribeRequest:
    """A recipe, whose files are searched in the WebUI's lists.

    recipe  its text
    hashed  true: the answer's recipe has the sha256 of every file, which may have to be computed
    """

    recipe: str
    hashed: bool = False


@dataclass(frozen=True)
class DescribedFile:
    """A file of a recipe.

    tensors   name -> dtype and shape
    metadata  the texts of its header, without long ones
    bytes     its size
    """

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    metadata: Mapping[str, str]
    bytes: int


@dataclass(frozen=True)
class DescribeAnswer:
    """A recipe with its hashes, and its files by the names that it gives them."""

    recipe: str
    files: Mapping[str, DescribedFile]


@dataclass(frozen=True)
class FindRequest:
    """A name in the WebUI's lists.

    kind  checkpoint, vae, recipe (of a merged checkpoint) or history (number, id or name)
    """

    kind: NameKind
    name: str


@dataclass(frozen=True)
class FindAnswer:
    """The name that recipes give a file, or the text of a recipe."""

    name: str = ""
    recipe: str = ""


@dataclass(frozen=True)
class SessionRequest:
    """A session, by the id that `render/begin` has answered."""

    session: str


@dataclass(frozen=True)
class SessionAnswer:
    """The state of a session.

    session   its id, "" where another program has the model: then none was begun
    ready     whether it has the model in memory: before that another job runs
    ended     whether it has ended, and the model is free
    problem   why it has ended by itself, "" otherwise
    restored  whether the model is what it was before the session; of an ended one
    held      the model in memory: a checkpoint or a merge
    patience  seconds without a request after which it ends by itself
    """

    session: str
    ready: bool = False
    ended: bool = False
    problem: str = ""
    restored: bool = True
    held: str = ""
    patience: float = 0.0


@dataclass(frozen=True)
class OrderRequest:
    """A merge, and a picture of it; the same request again asks whether it is done.

    session  its id
    number   of the order, counted from 1
    recipe   the text of the recipe, with hashes; merged unless it is in memory
    drawing  prompt, negative, sampler, scheduler, steps, cfg, width, height, seed; null for no picture
    """

    session: str
    number: int
    recipe: str
    drawing: Mapping[str, object] | None = None


@dataclass(frozen=True)
class OrderAnswer:
    """What an order has come to.

    done      false while it is being carried out
    picture   a PNG as base64, "" for none
    slots     the blocks that the merge changed
    keys      how many tensors it wrote
    bytes     how many bytes it wrote
    """

    done: bool
    picture: str = ""
    infotext: str = ""
    slots: tuple[str, ...] = ()
    keys: int = 0
    bytes: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())
