"""One example by hand for each method; the arithmetic is in the comment or the line itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lib_merge.methods import METHODS
from lib_merge.methods.adjust import CHANGED_KEYS
from lib_merge.parameters import TensorRef

Example = tuple[str, list[Any], dict[str, Any], Any]
HALF = math.sqrt(0.5)

EXAMPLES: list[Example] = [
    # 0.75 * 1 + 0.25 * 5
    ("weighted_sum", [[1], [5]], {"alpha": 0.25}, [2]),
    # 1 + 0.5 (5 - 3)
    ("add_difference", [[1], [5], [3]], {"alpha": 0.5}, [2]),
    # 0.25 * 1 + 0.25 * 5 + 0.5 * 9
    ("triple_sum", [[1], [5], [9]], {"alpha": 0.25, "beta": 0.5}, [6]),
    # 0.5 (0.5 * 1 + 0.5 * 5) + 0.5 * 9
    ("sum_twice", [[1], [5], [9]], {"alpha": 0.5, "beta": 0.5}, [6]),
    ("weighted_models", [[1], [5], [9]], {"model_weights": (1, 2, 1), "normalize": True}, [5]),
    # 4 (1 - 5 / 100), at the first convolution's weight
    ("adjust", [[4]], {"detail_in": 5.0, "tensor": TensorRef("sd1", CHANGED_KEYS[0])}, [3.8]),
    # 2 = 0.75 X + 0.25 * 5
    ("weighted_subtraction", [[2], [5]], {"alpha": 0.25}, [1]),
    ("self", [[3]], {"alpha": 0.5}, [1.5]),
    ("replace", [[3], [4]], {}, [4]),
    # s = |5 - 1| / (|5 - 1| + |5 - 3|) = 2/3, 1 + 1.8 * 2/3 * 2; the second: B = C; the third: B = A
    ("train_difference", [[1, 1, 1], [5, 5, 1], [3, 5, 3]], {"alpha": 1.0}, [3.4, 1, 1]),
    # deltas (2, 0) and (0, 2): cos 0, d = 1/2: A + lerp * 1/2
    ("extract", [[[1, 1]], [[3, 1]], [[1, 3]]], {"alpha": 0.5, "beta": 0.0, "gamma": 1.0}, [[1.5, 1.5]]),
    # r = 1 (2 * 4 / 16 + 1) / 2 = 3/4; added 2 + (4 - 3) = 3; mixed 2 / 2 + 4 / 2 = 3: both 3
    # -2 and 2: r = 0: added -2 + (2 - 3)
    ("similarity_add_difference", [[2, -2], [4, 2], [3, 3]], {"alpha": 1.0, "beta": 1.0}, [3, -3]),
    # u = (1, 0), v = (0, 1): m = (sqrt .5, sqrt .5) of length 1; the mix (3, 4) / 2 is 2.5 long
    ("euclidean_add_difference", [[3, 0], [0, 4], [0, 0]], {"alpha": 0.5}, [2.5 * HALF, 2.5 * HALF]),
    # sqrt(|5 - 1| |2 - 1|) = 2, the mix is above C; sqrt(4 * 1) with the sign of (-4 + 1) / 2
    ("multiply_difference", [[5, -3], [2, 2], [1, 1]], {"alpha": 0.5, "beta": 0.5}, [3, -1]),
    # a = (2, 0), b = (3, 5): what is perpendicular is (0, 5)
    ("add_perpendicular", [[3, 1], [4, 6], [1, 1]], {"alpha": 1.0}, [3, 6]),
    # the middles of (0 0 9), (0 9 0), (9 0 0) are 0: a lone number is evened out
    ("smooth_add", [[1, 1, 1], [0, 9, 0], [0, 0, 0]], {"alpha": 1.0}, [1, 1, 1]),
    # column cosines 1 and 0, m = 1 and 0: B's share is 2 * 0.5 - m = 0 and 1
    (
        "cosine_a",
        [[[1, 1], [1, 0]], [[2, 0], [2, 5]]],
        {"alpha": 0.5, "limits": (0.0, 1.0)},
        [[1, 0], [1, 5]],
    ),
    # whole: (4 + 0) / sqrt(3 * 33); measures (cos + whole) / 2; at 0 and 1 of the spread
    (
        "cosine_b",
        [[[1, 1], [1, 0]], [[2, 0], [2, 5]]],
        {"alpha": 0.5, "limits": (2 / math.sqrt(99), 0.5 + 2 / math.sqrt(99))},
        [[1, 0], [1, 5]],
    ),
    # columns 1 and 0, whole of columns (1 + 0) / 2: measures .75 and .25, A's share .75 and .25
    (
        "supermerger_cosine_a",
        [[[1, 1], [1, 0]], [[2, 0], [2, 5]]],
        {"alpha": 0.0, "limits": (0.0, 1.0)},
        [[1.25, 0.25], [1.25, 3.75]],
    ),
    # equal models stay what they are, whatever the shares
    (
        "supermerger_cosine_b",
        [[[1, 0], [0, 1]], [[1, 0], [0, 1]]],
        {"alpha": 0.25, "limits": (0.0, 1.0)},
        [[1, 0], [0, 1]],
    ),
    # 1 + 2 ((3 - 1) + 0.5 (5 - 1))
    ("task_arithmetic", [[1], [3], [5]], {"model_weights": (1, 0.5), "scale": 2.0}, [9]),
    # keep 2 of 4: (0 4 -3 0), (2 5 0 0); signs + + - 0; means of those that agree: 2, 4.5, -3, 0
    ("ties", [[0] * 4, [1, 4, -3, 0], [2, 5, 1, 1]], {"density": 0.5}, [2, 4.5, -3, 0]),
    # with 4 as the least that stays: (0 4 0 0), (0 5 0 0)
    ("ties_whole", [[0] * 4, [1, 4, -3, 0], [2, 5, 1, 1]], {"thresholds": (4.0, 4.0)}, [0, 4.5, 0, 0]),
    ("dare", [[1, 1], [2, 3]], {"density": 1.0, "scale": 2.0}, [3, 5]),
    ("della", [[1, 1], [2, 3]], {"density": 1.0, "scale": 2.0}, [3, 5]),
    # without the largest (5) and down to two: 4 and -3
    ("breadcrumbs", [[0] * 4, [1, 4, -3, 5]], {"density": 0.5, "gamma": 0.25}, [0, 4, -3, 0]),
    # deltas (2, 0) and (1, sqrt 3): cos 1/2, t = 2 * .5 / 1.5 = 2/3 of the mean (1.5, sqrt(3) / 2)
    ("model_stock", [[1, 1], [3, 1], [2, 1 + 3**0.5]], {}, [2, 1 + 3**0.5 / 3]),
    # variances 1, 4, 0: the largest of two is kept: t = (0 6 0), (0 2 0); w = 36, 4 of 40; .9 * 6 + .1 * 2
    ("sce", [[0] * 3, [3, 6, 1], [1, 2, 1]], {"density": 0.5}, [0, 5.6, 0]),
    # a quarter turn, half way, lengths 2 and 4
    ("slerp", [[2, 0], [0, 4]], {"alpha": 0.5}, [3 * HALF, 3 * HALF]),
    ("delta_slerp", [[3, 1], [1, 5], [1, 1]], {"alpha": 0.5}, [1 + 3 * HALF, 1 + 3 * HALF]),
    ("karcher_mean", [[2, 0], [0, 4]], {"model_weights": (1, 1)}, [3 * HALF, 3 * HALF]),
    # the point that sees the sides of an equal triangle alike is its middle
    ("geometric_median", [[0, 0], [2, 0], [1, 3**0.5]], {}, [1, 3**-0.5]),
    # sqrt(2 * 8), -sqrt(2 * 8), and cos(pi / 2) = 0 of unequal signs
    ("geometric_sum", [[2, -2, 2], [8, -8, -8]], {"alpha": 0.5}, [4, -4, 0]),
    # B is A a quarter turn on: Q carries (1, 0) to (0, 1)
    ("rotate", [[[1, 0], [0, 1]], [[0, 2], [-2, 0]]], {"centralization": 0.0}, [[0, 1], [-1, 0]]),
    ("tensor_sum", [[1, 2, 3, 4], [5, 6, 7, 8]], {"alpha": 0.5, "beta": 0.25}, [1, 6, 7, 4]),
    # from 0.75 on, round the end: all but [0.25, 0.75)
    ("tensor_sum", [[1, 2, 3, 4], [5, 6, 7, 8]], {"alpha": 0.5, "beta": 0.75}, [5, 2, 3, 8]),
    ("tensor2_sum", [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], {"alpha": 0.5}, [[5, 6], [3, 4]]),
    # B's order: largest, smallest, middle
    ("top_k_tensor_sum", [[1, 2, 3], [9, 4, 5]], {"alpha": 1.0}, [3, 1, 2]),
    # of two numbers the frequencies are sum and difference: here the sum of B (7), the difference of A
    ("distribution_crossover", [[1, 2], [3, 4], [0, 1]], {"alpha": 0.25, "beta": 0.0}, [3, 4]),
    ("distribution_crossover", [[1, 5], [3, 4], [0, 1]], {"alpha": 0.25, "beta": 0.0}, [1.5, 5.5]),
    # frequencies 0 and 1: the sum of A (3), the difference of B (-4)
    ("crossover", [[1, 2], [1, 5]], {"alpha": 0.5}, [-0.5, 3.5]),
    ("near_swap", [[1, 1, 1], [1.5, 9, -9]], {"limit": 2.0}, [1.5, 3, -1]),
    ("clamp", [[0, 3, 9], [1, 1, 1], [5, 5, 5]], {}, [1, 3, 5]),
    ("add_noise", [[1, 2]], {"alpha": 0.0}, [1, 2]),
]


def tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


@pytest.mark.parametrize(
    ("method", "models", "settings", "want"), EXAMPLES, ids=lambda value: str(value)[:24]
)
def test_an_example_by_hand(method: str, models: list[Any], settings: dict[str, Any], want: Any) -> None:
    out = METHODS.get(method)(*map(tensor, models), **settings)
    torch.testing.assert_close(out, tensor(want), rtol=1e-6, atol=1e-6)


def test_every_method_has_an_example() -> None:
    assert {method.id for method in METHODS.all()} == {method for method, *_ in EXAMPLES}
