"""What the user prefers, learnt from comparisons of two pictures: the eye as a scorer.

Each trial i is a point x_i of weights in [0, 1]^d, and has an unknown utility f_i. A click on one of two
pictures says that its utility is higher, with noise (Bradley and Terry, 1952); *neither* says that they are
about equal (Davidson, 1970, "On extending the Bradley-Terry model to accommodate ties"); *both bad* also says
that both are below the mean utility, 0. With d = f_left - f_right and the tie parameter v:

    P(left)    = exp(d/2)  / (2 cosh(d/2) + v)
    P(neither) = v         / (2 cosh(d/2) + v)
    P(right)   = exp(-d/2) / (2 cosh(d/2) + v)
    P(both bad) ~ P(neither) s(-f_left) s(-f_right),   s(z) = 1 / (1 + exp(-z))

What was learnt of one trial holds for its neighbours: utilities have a Gaussian process as their prior, with
mean 0 and the kernel k(x, y) = a^2 exp(-|x - y|^2 / (2 l^2 d)). All terms are log-concave, so that the
posterior has one mode, which Newton's method finds; around it the posterior is taken for a Gaussian (Laplace;
Chu and Ghahramani, 2005, "Preference learning with Gaussian processes"). The length l and the amplitude a are
those of a small grid with the highest evidence. The next pair is the one whose answer tells most of the
utilities (Houlsby and others, 2011, "Bayesian active learning for classification and preference learning"),
among the trials that may be the best.

Everything is computed in float64. The order of the clicks changes nothing but rounding.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lib_merge.errors import RecipeError

Answer = Literal["left", "right", "neither", "both bad"]
Floats = NDArray[np.float64]

TIE_PARAMETER = 0.5  # v: of two equal pictures a fifth of the answers is "neither"
LENGTHS = (0.2, 0.4, 0.8)  # l: in parts of the diagonal of the space of weights
AMPLITUDES = (1.0, 2.0, 4.0)  # a: at 4 a picture that is one deviation better wins 98 of 100 times
STEPS = 60  # of Newton's method; it takes fewer than ten
SETTLED = 1e-9  # the change of the log posterior below which it has converged
JITTER = 1e-6  # of the kernel's diagonal: two trials may have the same weights
LIKELY_BEST = 24  # trials with the highest upper bound, whose pairs are looked at
NODES = 24  # of the Gauss-Hermite quadrature
SAMPLES = 4000  # of the posterior: a chance has an error of a percent


@dataclass(frozen=True)
class Click:
    """One click: two trials by their index, and what the user said of their pictures.

    RecipeError where a trial is compared with itself, or the answer is none of Answer.
    """

    left: int
    right: int
    answer: Answer

    def __post_init__(self) -> None:
        if self.left == self.right or min(self.left, self.right) < 0:
            raise RecipeError(
                f"trial {self.left} cannot be compared with trial {self.right}",
                hint="two different trials, by their number from 0",
            )
        if self.answer not in get_args(Answer):
            raise RecipeError(
                f"{self.answer!r} is no answer to two pictures", hint=f"one of: {', '.join(get_args(Answer))}"
            )


@dataclass(frozen=True)
class Preference:
    """A posterior over utilities.

    points     n x d: the trials that it was learnt from
    length     l of the kernel
    amplitude  a of the kernel
    slope      n: the gradient of the log likelihood at the mode, K^-1 f
    precision  n x n: W (1 + K W)^-1, W the negative Hessian of the log likelihood at the mode
    evidence   the log of the probability of all answers, by Laplace's approximation
    """

    points: Floats
    length: float
    amplitude: float
    slope: Floats
    precision: Floats
    evidence: float

    def utilities(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean (m) and covariance (m x m) of the utilities at m points (m x d)."""
        across = kernel(points, self.points, self.length, self.amplitude)
        within = kernel(points, points, self.length, self.amplitude)
        return across @ self.slope, within - across @ self.precision @ np.transpose(across)


def learn(points: Floats, clicks: Sequence[Click]) -> Preference:
    """The posterior after these clicks, at the length and amplitude of the highest evidence.

    points  n x d weights of the trials, each in [0, 1]

    RecipeError where a click names a trial that is not there, or a weight is not finite.
    """
    check_points(points)
    for click in clicks:
        if max(click.left, click.right) >= len(points):
            raise RecipeError(
                f"a click compares the trials {click.left} and {click.right}, and there are {len(points)}",
                hint="numbers of trials begin at 0",
            )
    candidates = [
        posterior(points, clicks, length, amplitude) for length in LENGTHS for amplitude in AMPLITUDES
    ]
    return max(candidates, key=lambda one: one.evidence)


def check_points(points: Floats) -> None:
    """RecipeError where these are not n x d finite numbers, n and d at least 1."""
    if points.ndim != 2 or 0 in points.shape or not np.isfinite(points).all():
        raise RecipeError(
            f"weights of shape {points.shape} are not a finite number for each trial and parameter",
            hint="one row a trial, one column a parameter, no NaN",
        )


def kernel(x: Floats, y: Floats, length: float, amplitude: float) -> Floats:
    """k(x, y) = a^2 exp(-|x - y|^2 / (2 l^2 d)) of each pair of points: m x d and n x d to m x n."""
    squares = ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2)
    return amplitude**2 * np.exp(-squares / (2 * length**2 * x.shape[1]))


def posterior(points: Floats, clicks: Sequence[Click], length: float, amplitude: float) -> Preference:
    """Laplace's approximation of the posterior at one length and amplitude."""
    prior = kernel(points, points, length, amplitude) + JITTER * np.eye(len(points))
    utility = _mode(prior, clicks)
    slope, curvature = likelihood_slopes(utility, clicks)
    spread = np.eye(len(points)) + prior @ curvature
    precision = np.transpose(np.linalg.solve(np.transpose(spread), curvature))
    height = _log_posterior(utility, prior, clicks)
    evidence = float(height - np.linalg.slogdet(spread)[1] / 2)
    return Preference(points, length, amplitude, slope, (precision + np.transpose(precision)) / 2, evidence)


def _mode(prior: Floats, clicks: Sequence[Click]) -> Floats:
    """The utilities of the highest posterior: Newton's method, a step halved until it is one upwards."""
    utility = np.zeros(len(prior))
    height = _log_posterior(utility, prior, clicks)
    for _ in range(STEPS):
        slope, curvature = likelihood_slopes(utility, clicks)
        target = np.linalg.solve(
            np.eye(len(prior)) + prior @ curvature, prior @ (curvature @ utility + slope)
        )
        share = 1.0
        while (
            reached := _log_posterior(tried := utility + share * (target - utility), prior, clicks)
        ) < height:
            share /= 2
            if share < SETTLED:
                return utility
        gained, height, utility = reached - height, reached, tried
        if gained < SETTLED:
            break
    return utility


def _log_posterior(utility: Floats, prior: Floats, clicks: Sequence[Click]) -> float:
    """The log of the posterior at these utilities, less what does not depend on them."""
    return log_likelihood(utility, clicks) - float(utility @ np.linalg.solve(prior, utility)) / 2


def log_likelihood(utility: Floats, clicks: Sequence[Click]) -> float:
    """The log probability of all answers, where trial i has the utility f_i."""
    left, right, answers = _columns(clicks)
    half = (utility[left] - utility[right]) / 2
    tie = np.log(TIE_PARAMETER)
    won = np.where(answers == "left", half, np.where(answers == "right", -half, tie))
    total = (won - np.logaddexp(np.logaddexp(half, -half), tie)).sum()
    bad = answers == "both bad"
    for trials in (left[bad], right[bad]):
        total -= np.logaddexp(0, utility[trials]).sum()
    return float(total)


def likelihood_slopes(utility: Floats, clicks: Sequence[Click]) -> tuple[Floats, Floats]:
    """The gradient of the log likelihood (n), and its negative Hessian (n x n), positive semidefinite."""
    left, right, answers = _columns(clicks)
    slope, curvature = np.zeros(len(utility)), np.zeros((len(utility), len(utility)))
    p_left, _, p_right = answer_probabilities(utility[left] - utility[right])
    mean = (p_left - p_right) / 2
    pull = np.where(answers == "left", 0.5, np.where(answers == "right", -0.5, 0.0)) - mean
    bend = (p_left + p_right) / 4 - mean**2  # the variance of -1/2, 0, 1/2
    np.add.at(slope, left, pull)
    np.add.at(slope, right, -pull)
    for one, other, sign in ((left, left, 1), (right, right, 1), (left, right, -1), (right, left, -1)):
        np.add.at(curvature, (one, other), sign * bend)
    bad = answers == "both bad"
    for trials in (left[bad], right[bad]):
        high = 1 / (1 + np.exp(-utility[trials]))
        np.add.at(slope, trials, -high)
        np.add.at(curvature, (trials, trials), high * (1 - high))
    return slope, curvature


def _columns(clicks: Sequence[Click]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.str_]]:
    """Both trials and the answer of each click."""
    left = np.array([click.left for click in clicks], dtype=np.intp)
    right = np.array([click.right for click in clicks], dtype=np.intp)
    return left, right, np.array([click.answer for click in clicks], dtype=np.str_)


def answer_probabilities(difference: Floats | float) -> Floats:
    """The probabilities of *left*, *neither* and *right* (the first axis) at differences of utility."""
    half = np.asarray(difference, dtype=np.float64) / 2
    logs = np.stack([half, np.full_like(half, np.log(TIE_PARAMETER)), -half])
    return np.exp(logs - np.logaddexp.reduce(logs, axis=0))


def information(means: Floats, deviations: Floats) -> Floats:
    """What an answer tells, in nats: its mutual information with d, for d normal with these means and
    deviations. H(E p(d)) - E H(p(d)), by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    likely = answer_probabilities(means[..., None] + deviations[..., None] * nodes)
    return _entropy(likely @ weights) - _entropy(likely) @ weights


def _entropy(likely: Floats) -> Floats:
    return -(likely * np.log(np.maximum(likely, 1e-300))).sum(axis=0)


def next_pair(
    preference: Preference,
    points: Floats,
    ready: Collection[int],
    compared: Collection[tuple[int, int]] = (),
) -> tuple[int, int] | None:
    """The two trials whose comparison tells most, among those that may be the best.

    points    m x d: trials that are there or may be made
    ready     those whose picture is there: at least one of a pair is, so that the user waits for one
    compared  pairs that were compared already, in either order: they are not asked again

    None where no such pair is left. The one with the higher expected utility comes first.
    """
    check_points(points)
    means, covariance = preference.utilities(points)
    deviations = np.sqrt(np.maximum(np.diag(covariance), 0))
    order = [int(index) for index in np.argsort(-(means + deviations), kind="stable")]
    done = {(min(pair), max(pair)) for pair in compared}
    there = [index for index in order if index in ready][:LIKELY_BEST]
    likely = sorted({*order[:LIKELY_BEST], *there})
    pairs = [
        pair
        for pair in combinations(likely, 2)
        if pair not in done and (pair[0] in ready or pair[1] in ready)
    ]
    return _most_telling(means, covariance, pairs)


def next_point(preference: Preference, points: Floats, ready: Collection[int]) -> int | None:
    """The point that is to be made next: whose comparison with one that is ready tells most.

    See `next_pair`; None where all points are ready.
    """
    check_points(points)
    means, covariance = preference.utilities(points)
    bounds = means + np.sqrt(np.maximum(np.diag(covariance), 0))
    order = [int(index) for index in np.argsort(-bounds, kind="stable")]
    there = [index for index in order if index in ready][:LIKELY_BEST]
    fresh = [index for index in order if index not in ready][:LIKELY_BEST]
    pair = _most_telling(means, covariance, list(product(there, fresh)))
    return next((index for index in pair or () if index not in ready), None)


def _most_telling(
    means: Floats, covariance: Floats, pairs: Sequence[tuple[int, int]]
) -> tuple[int, int] | None:
    """The pair whose answer tells most, the one of the higher expected utility first."""
    if not pairs:
        return None
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    variances = covariance[left, left] + covariance[right, right] - 2 * covariance[left, right]
    gains = information(means[left] - means[right], np.sqrt(np.maximum(variances, 0)))
    a, b = pairs[int(np.argmax(gains))]
    return (a, b) if means[a] >= means[b] else (b, a)


def chance_of_best(preference: Preference, points: Floats, index: int) -> float:
    """How probable it is that none of these points has a higher utility than one of them."""
    means, covariance = preference.utilities(points)
    values, vectors = np.linalg.eigh((covariance + np.transpose(covariance)) / 2)
    random = np.random.default_rng(len(points)).standard_normal((SAMPLES, len(points)))
    scaled: Floats = np.asarray(vectors * np.sqrt(np.maximum(values, 0)), dtype=np.float64)
    drawn: Floats = np.add(means, np.matmul(random, np.transpose(scaled)))
    highest: Floats = np.max(drawn, axis=1)
    return int(np.count_nonzero(highest <= drawn[:, index])) / SAMPLES


def best_trial(preference: Preference, points: Floats) -> int:
    """The trial of the highest expected utility; on a tie the first of them."""
    return int(np.argmax(preference.utilities(points)[0]))
