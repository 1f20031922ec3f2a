"""Tests of differences: is what one sees more than chance? Plain Python, no distribution library.

Each function says its formula, from which sample on it means something, and its source. None decides for a caller:
they give p-values and intervals; what is called significant after the correction for many tests is `holm`'s answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_TINY = 1e-300
_EXPECTED_FOR_Z = 5.0
# Beyond this variance a binomial's quantiles are the normal's to well below one rank; the interval is widened by one.
_NORMAL_FROM = 1_000.0


# -- distributions -------------------------------------------------------------------------------------------------


def normal_two_sided(z: float) -> float:
    """P(|Z| >= |z|) of a standard normal Z."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def normal_quantile(p: float) -> float:
    """The z with P(Z <= z) = p, by bisection of erfc to 1e-12."""
    if not 0.0 < p < 1.0:
        raise ValueError("a quantile is asked for a probability between 0 and 1")
    low, high = -40.0, 40.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if 0.5 * math.erfc(-middle / math.sqrt(2.0)) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_regularized(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), by Lentz's continued fraction.

    Source: Press et al., Numerical Recipes, 3rd ed. 2007, 6.4; DLMF 8.17.22.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, 1.0 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d or _TINY)
    fraction = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / ((1.0 + term * d) or _TINY)
            c = (1.0 + term / c) or _TINY
            step = c * d
            fraction *= step
        if abs(step - 1.0) < 1e-15:
            break
    return fraction


def student_two_sided(t: float, df: float) -> float:
    """P(|T| >= |t|) of Student's t: I_{df / (df + t^2)}(df / 2, 1 / 2), from the side whose argument loses nothing."""
    square = t * t
    if square < 1.0:
        return 1.0 - beta_regularized(0.5, df / 2.0, square / (df + square))
    return beta_regularized(df / 2.0, 0.5, df / (df + square))


def student_quantile(two_sided: float, df: float) -> float:
    """The t >= 0 with P(|T| >= t) = two_sided, by bisection."""
    low, high = 0.0, 1.0
    while student_two_sided(high, df) > two_sided and high < 1e12:
        high *= 2.0
    for _ in range(200):
        middle = (low + high) / 2
        if student_two_sided(middle, df) > two_sided:
            low = middle
        else:
            high = middle
        if high - low <= 1e-12 * high:
            break
    return (low + high) / 2


# -- differences ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Test:
    """What a test of two samples found; the difference is the first's value less the second's.

    Args:
        low, high: the 95% interval of the difference.
        effect: its size without a unit; what it is, the test says.
    """

    method: str
    difference: float
    low: float
    high: float
    statistic: float | None
    p: float
    effect: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """Mean and variance of a sample by its exact sums.

    Args:
        n: values; 2 at least for a variance.
        mean, variance: of a sample (n - 1).
        design: by how much greater the mean's variance is than that of so many independent values, 1 or more.
        clusters: the clusters from which `design` was estimated; 0 where values are taken for independent.
    """

    n: int
    mean: float
    variance: float
    design: float = 1.0
    clusters: int = 0

    @classmethod
    def of(cls, n: int, total: int, squares: int, scale: float = 1.0, design: float = 1.0, clusters: int = 0) -> Sample:
        """From integer sums, so that nothing cancels: variance = (n * squares - total^2) / (n * (n - 1))."""
        mean = total / n * scale
        variance = (n * squares - total * total) / (n * (n - 1)) * scale * scale if n > 1 else math.nan
        return cls(n, mean, variance, design, clusters)

    @property
    def error(self) -> float:
        """The variance of the mean."""
        return self.variance / self.n * self.design

    @property
    def freedom(self) -> int:
        return (self.clusters or self.n) - 1


def welch(a: Sample, b: Sample) -> Test:
    """Welch's t test of two means with unequal variances; both samples have 2 values or more.

    t = (mean_a - mean_b) / sqrt(e_a + e_b) with e = design * variance / n; degrees of freedom by Satterthwaite, over
    clusters where there are any. The effect is Hedges' g: the difference by the pooled standard deviation.

    Source: Welch, Biometrika 34 (1947) 28-35; Satterthwaite 1946; Kish, Survey Sampling 1965 (design effect); Hedges
    1981 (g).
    """
    errors = a.error + b.error
    difference = a.mean - b.mean
    if errors == 0.0:
        # Constants: equal, or different without any doubt.
        p = 1.0 if difference == 0.0 else 0.0
        return Test("welch_t", difference, difference, difference, None, p, None)
    df = errors**2 / (a.error**2 / a.freedom + b.error**2 / b.freedom)
    t = difference / math.sqrt(errors)
    reach = student_quantile(0.05, df) * math.sqrt(errors)
    pooled = math.sqrt(((a.n - 1) * a.variance + (b.n - 1) * b.variance) / (a.n + b.n - 2))
    small = 1.0 - 3.0 / (4.0 * (a.n + b.n) - 9.0)
    effect = difference / pooled * small if pooled else None
    return Test("welch_t", difference, difference - reach, difference + reach, t, student_two_sided(t, df), effect)


def wilson(successes: float, n: float, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval of a proportion; from 1 on. Source: Wilson, JASA 22 (1927) 209-212."""
    p, z2 = successes / n, z * z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    reach = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def proportions(x1: int, n1: int, x2: int, n2: int, design1: float = 1.0, design2: float = 1.0) -> Test:
    """Two proportions x / n: the pooled z test, or Fisher's exact test where an expected count is below 5.

    z = (p1 - p2) / sqrt(p (1 - p) (1 / n1 + 1 / n2)) with p = (x1 + x2) / (n1 + n2). Clustered samples count as
    n / design with the same proportion (Rao & Scott, Biometrics 48 (1992) 577-585); Fisher's test takes these counts
    rounded to whole ones. The interval is Newcombe's hybrid of two Wilson intervals, the effect Cohen's
    h = 2 asin sqrt p1 - 2 asin sqrt p2.

    Source: Fisher 1935; Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10; Cohen 1988, 6.2.
    """
    p1, p2 = x1 / n1, x2 / n2
    m1, m2 = n1 / design1, n2 / design2
    whole = (p1 * m1 + p2 * m2) / (m1 + m2)
    difference = p1 - p2
    (l1, u1), (l2, u2) = wilson(p1 * m1, m1), wilson(p2 * m2, m2)
    low = difference - math.hypot(p1 - l1, u2 - p2)
    high = difference + math.hypot(u1 - p1, p2 - l2)
    effect = 2 * math.asin(math.sqrt(p1)) - 2 * math.asin(math.sqrt(p2))
    if min(m1, m2) * min(whole, 1 - whole) < _EXPECTED_FOR_Z:
        p = fisher(round(p1 * m1), round(m1), round(p2 * m2), round(m2))
        return Test("fisher_exact", difference, low, high, None, p, effect)
    z = difference / math.sqrt(whole * (1 - whole) * (1 / m1 + 1 / m2))
    return Test("two_proportion_z", difference, low, high, z, normal_two_sided(z), effect)


def fisher(x1: int, n1: int, x2: int, n2: int) -> float:
    """Fisher's exact two-sided p: the sum of all tables with these margins that are no more probable than this one."""
    events, total = x1 + x2, n1 + n2
    if not n1 or not n2:
        return 1.0
    whole = _log_choose(total, events)
    low, high = max(0, events - n2), min(events, n1)
    logs = [_log_choose(n1, x) + _log_choose(n2, events - x) - whole for x in range(low, high + 1)]
    here = logs[x1 - low] + 1e-7
    return min(1.0, math.fsum(math.exp(one) for one in logs if one <= here))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of sums over clusters: its value, the variance of it, how many clusters."""

    value: float
    error: float
    clusters: int


def ratio_of(pairs: Sequence[tuple[float, float]]) -> Ratio:
    """Sum of y by sum of x over clusters (x, y), with its linearized variance.

    r = sum y / sum x; variance = m / (m - 1) * sum (y_j - r x_j)^2 / (sum x)^2 over m clusters; from 2 clusters on.
    Source: Cochran, Sampling Techniques, 3rd ed. 1977, 6.
    """
    below, above, m = math.fsum(x for x, _ in pairs), math.fsum(y for _, y in pairs), len(pairs)
    value = above / below
    left = math.fsum((y - value * x) ** 2 for x, y in pairs)
    return Ratio(value, m / (m - 1) * left / below**2, m)


def ratios(a: Ratio, b: Ratio) -> Test:
    """Two ratios of sums by Welch's t over their clusters; no effect size without a variance of single requests."""
    made = welch(
        Sample(a.clusters, a.value, a.error * a.clusters),
        Sample(b.clusters, b.value, b.error * b.clusters),
    )
    return Test("ratio_t", made.difference, made.low, made.high, made.statistic, made.p, None)


def design_effect(pairs: Sequence[tuple[float, float]], variance: float, least: int = 10) -> tuple[float, int]:
    """By how much clustering widens the variance of a mean, and from how many clusters that is known.

    Clusters are (n_j, sum_j): hours, say, whose requests share whatever went on in them. The variance of the mean as a
    ratio over clusters, by that of independent values, and at least 1. Below 10 clusters it is not estimated: (1, 0).
    Source: Kish, Survey Sampling 1965, 5.4 and 8.2.
    """
    filled = [pair for pair in pairs if pair[0]]
    if len(filled) < least or not variance > 0:
        return 1.0, 0
    found = ratio_of(filled)
    n = math.fsum(x for x, _ in filled)
    return max(1.0, found.error / (variance / n)), len(filled)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: each may be compared with alpha, and the chance of any false alarm stays below it.

    In ascending order p'_i = max over j <= i of (m - j + 1) p_j, at most 1.
    Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, greatest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        greatest = max(greatest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = greatest
    return adjusted


# -- quantiles -----------------------------------------------------------------------------------------------------


def quantile_ranks(n: int, p: float, confidence: float = 0.95) -> tuple[int, int] | None:
    """Ranks (from 1) of the order statistics between which the p-quantile lies, whatever the distribution.

    The number of values below the quantile is binomial(n, p): the greatest l with P(X < l) <= a / 2 and the least u
    with P(X >= u) <= a / 2. None where n is too small for such ranks: a p95 needs 72 values.
    Source: Conover, Practical Nonparametric Statistics, 3rd ed. 1999, 3.2.
    """
    half = (1.0 - confidence) / 2.0
    variance = n * p * (1.0 - p)
    if variance > _NORMAL_FROM:
        reach = normal_quantile(1.0 - half) * math.sqrt(variance)
        return math.floor(n * p - reach), math.ceil(n * p + reach) + 1
    low = _least(n, lambda k: _binomial_below(k, n, p) > half)
    high = _least(n, lambda k: _binomial_below(k, n, p) >= 1.0 - half) + 1
    return (low, high) if low >= 1 and high <= n else None


def _binomial_below(k: int, n: int, p: float) -> float:
    """P(X <= k) of a binomial: I_{1 - p}(n - k, k + 1)."""
    if k >= n:
        return 1.0
    return beta_regularized(n - k, k + 1, 1.0 - p) if k >= 0 else 0.0


def _least(n: int, holds: Callable[[int], bool]) -> int:
    """The least k of 0..n for which a condition that stays true holds."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
