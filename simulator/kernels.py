"""The Numba kernels: pure functions of arrays, no random numbers, no globals.

Each has a plain NumPy twin in `tests/simulator/twins.py` that the tests compare it with.

Kernels that match share one description of the task, the arrays of `simulator.lattice.Lattice`.
`asked` is an integer array (n, stages, 2) of model index and samples; `score` float64 (cells,), nan
in holes; `budget` the largest cost allowed. Answers are cell indices, or one of the codes below.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

N_MODELS, N_GRID, MAX_SAMPLES, STRIDE, GRID_AT, BELOW_AT, COST_AT, RATIO_AT = range(8)
MODEL_BITS, SAMPLE_BITS, NEAR_AT = range(8, 11)

OVER_BUDGET, NO_NEIGHBOUR, TOO_FAR, OFF_GRID, INVALID, INTERPOLATED, NOT_ASKED = range(-1, -8, -1)
BELOW_BIT, ABOVE_BIT = 28, 46

_CELL, _OVER = (1 << BELOW_BIT) - 1, 1 << (ABOVE_BIT - 1)
_FULL = 1 << (ABOVE_BIT - BELOW_BIT - 1)
_BLOCK, _TILE = 1024, 32
_TIE = 1e-12
_WIDEST = 2.0**61

_jit: Any = numba.njit(cache=True, nogil=True)


@_jit
def ask_cost(asked, shape, cost):  # type: ignore[no-untyped-def]
    """Cost of one configuration (stages, 2), summed in the order of stages; nan where invalid."""
    total = 0.0
    for i in range(shape.shape[0]):
        m, s = asked[i, 0], asked[i, 1]
        if m < 0 or m >= shape[i, N_MODELS] or s < 1 or s > shape[i, MAX_SAMPLES]:
            return np.nan
        total += cost[shape[i, COST_AT] + m * (shape[i, MAX_SAMPLES] + 1) + s]
    return total


@_jit
def match_exact(asked, shape, grid, below, cost, score, budget):  # type: ignore[no-untyped-def]
    """The cell of one configuration, or INVALID, OFF_GRID (an affordable hole too), OVER_BUDGET."""
    total = ask_cost(asked, shape, cost)
    if np.isnan(total):
        return INVALID
    cell = 0
    for i in range(shape.shape[0]):
        m, s = asked[i, 0], asked[i, 1]
        k = below[shape[i, BELOW_AT] + s]
        if k < 0 or grid[shape[i, GRID_AT] + k] != s:
            return OFF_GRID
        cell += (m * shape[i, N_GRID] + k) * shape[i, STRIDE]
    if total > budget:
        return OVER_BUDGET
    return OFF_GRID if np.isnan(score[cell]) else cell


@_jit
def distance_steps(asked, shape, ratio, step):  # type: ignore[no-untyped-def]
    """The distance of one sample per stage, as whole numbers into `step` (stages,), int64.

    Returns the whole number that stands for a distance of 1: the least common denominator of the
    stages' ratios, so that sums of distances are exact and ties are ties. Where that would not fit
    64 bits, the steps are rounded at the largest scale that does.
    """
    n_stages = shape.shape[0]
    widest = 32.0
    for i in range(n_stages):
        at = shape[i, RATIO_AT] + asked[i, 0]
        widest += shape[i, MAX_SAMPLES] * (ratio[at, 0] / ratio[at, 1])
    scale = 1
    exact = True
    for i in range(n_stages):
        denominator = ratio[shape[i, RATIO_AT] + asked[i, 0], 1]
        factor = denominator // math.gcd(scale, denominator)
        exact = exact and float(scale) * float(factor) * widest < _WIDEST
        if exact:
            scale *= factor
    if not exact:
        scale = int(_WIDEST / widest)
    for i in range(n_stages):
        at = shape[i, RATIO_AT] + asked[i, 0]
        if exact:
            step[i] = ratio[at, 0] * (scale // ratio[at, 1])
        else:
            step[i] = int(np.rint(ratio[at, 0] / ratio[at, 1] * scale))
    return scale


@_jit
def match_nearest(  # type: ignore[no-untyped-def]
    asked, shape, grid, below, cost, ratio, score, budget, limit
):
    """The nearest cell with a score, with the same models and within the budget.

    The distance is the sum over stages of abs(samples asked - samples there) * ratio. With
    `limit` < 0 (matching `nearest`) ties go to the cheaper cell, then to the lower index. With
    `limit` >= 0 (matching `paper`) a distance over it is TOO_FAR and ties go to the higher `score`,
    then as before. Costs within 1e-12 of each other (relative) count as equal: they are sums.

    Branch and bound, outward from the asked sample counts: a branch is left as soon as no leaf of
    it can be as near as the best, so where neither the budget nor a hole is in the way the first
    leaf is the answer.
    """
    n_stages = shape.shape[0]
    total = ask_cost(asked, shape, cost)
    if np.isnan(total):
        return INVALID
    if total > budget:
        return OVER_BUDGET

    step = np.empty(n_stages, dtype=np.int64)
    scale = distance_steps(asked, shape, ratio, step)
    cheapest_after = np.zeros(n_stages + 1)
    nearest_after = np.zeros(n_stages + 1, dtype=np.int64)
    for i in range(n_stages - 1, -1, -1):
        s = asked[i, 1]
        low, near = np.inf, shape[i, MAX_SAMPLES]
        at = shape[i, COST_AT] + asked[i, 0] * (shape[i, MAX_SAMPLES] + 1)
        for k in range(shape[i, N_GRID]):
            there = grid[shape[i, GRID_AT] + k]
            low = min(low, cost[at + there])
            near = min(near, abs(s - there))
        cheapest_after[i] = cheapest_after[i + 1] + low
        nearest_after[i] = nearest_after[i + 1] + near * step[i]

    down = np.empty(n_stages, dtype=np.int64)
    up = np.empty(n_stages, dtype=np.int64)
    distance = np.zeros(n_stages + 1, dtype=np.int64)
    spent = np.zeros(n_stages + 1)
    cell = np.zeros(n_stages + 1, dtype=np.int64)
    best = -1
    best_distance = np.iinfo(np.int64).max
    best_cost = np.inf
    down[0] = below[shape[0, BELOW_AT] + asked[0, 1]]
    up[0] = down[0] + 1
    i = 0
    while i >= 0:
        n = shape[i, N_GRID]
        if down[i] < 0 and up[i] == n:
            i -= 1
            continue
        m, s, grid_at = asked[i, 0], asked[i, 1], shape[i, GRID_AT]
        k = up[i]
        if k == n or (down[i] >= 0 and s - grid[grid_at + down[i]] <= grid[grid_at + k] - s):
            k = down[i]
        there = grid[grid_at + k]
        d = distance[i] + abs(s - there) * step[i]
        if d + nearest_after[i + 1] > best_distance:
            i -= 1
            continue
        if k == up[i]:
            up[i] += 1
        else:
            down[i] -= 1
        c = spent[i] + cost[shape[i, COST_AT] + m * (shape[i, MAX_SAMPLES] + 1) + there]
        if c + cheapest_after[i + 1] > budget:
            continue
        index = cell[i] + (m * n + k) * shape[i, STRIDE]
        if i + 1 < n_stages:
            i += 1
            distance[i], spent[i], cell[i] = d, c, index
            down[i] = below[shape[i, BELOW_AT] + asked[i, 1]]
            up[i] = down[i] + 1
            continue
        if np.isnan(score[index]):
            continue
        better = d < best_distance
        if not better:
            if limit >= 0 and score[index] != score[best]:
                better = score[index] > score[best]
            else:
                better = _cheaper(c, index, best_cost, best)
        if better:
            best, best_distance, best_cost = index, d, c
    if best < 0:
        return NO_NEIGHBOUR
    if limit >= 0 and best_distance > limit * scale:
        return TOO_FAR
    return best


@_jit
def _cheaper(cost, cell, best_cost, best):  # type: ignore[no-untyped-def]
    margin = _TIE * max(abs(cost), abs(best_cost))
    return cost < best_cost - margin or (cost <= best_cost + margin and cell < best)


@_jit
def match_many(  # type: ignore[no-untyped-def]
    asked, shape, grid, below, cost, ratio, score, budget, limit, exact
):
    """`match_exact` or `match_nearest` of configurations (n, stages, 2): int64 (n,)."""
    out = np.empty(asked.shape[0], dtype=np.int64)
    for row in range(asked.shape[0]):
        ask = asked[row]
        if exact:
            out[row] = match_exact(ask, shape, grid, below, cost, score, budget)
        else:
            out[row] = match_nearest(ask, shape, grid, below, cost, ratio, score, budget, limit)
    return out


@_jit
def lookup_many(  # type: ignore[no-untyped-def]
    asked, shape, grid, below, cost, ratio, score, budget, limit, exact, near, memo, out
):
    """Scores of configurations into `out` (n,), nan where there is no answer.

    `near` (`simulator.near.packed_options`) holds for each stage, model and sample count one int64:
    its part of the cell index below `BELOW_BIT`, from there its cost rounded down, from `ABOVE_BIT`
    rounded up; -1 where invalid. Sums of them answer all rows but those near the budget or beside a
    hole. These are searched for, and remembered in `memo`, empty or of small integers: mixed radix
    over (model, samples - 1) per stage, NOT_ASKED until then. Returns the first row that is INVALID
    (or, if `exact`, OFF_GRID), or -1.
    """
    n, width = asked.shape[0], 2 * shape.shape[0]
    first_wrong = -1
    numbers, excess = asked.reshape(-1), _excess_bits(asked, shape)
    sums, values = np.empty(_BLOCK, dtype=np.int64), np.empty(_BLOCK)
    left = np.zeros(_BLOCK, dtype=np.uint8)
    eights = left.view(np.int64)
    for begin in range(0, n, _BLOCK):
        end = min(begin + _BLOCK, n)
        fits = _fits(numbers[begin * width : end * width], excess)
        if fits and _near_sums(asked[begin:end], shape, near, sums) >= 0:
            _near_answers(sums, shape.shape[0], score, values, out[begin:end], left)
        else:
            left[:] = 1
        for eight in range((end - begin + 7) >> 3):
            if eights[eight] == 0:
                continue
            for row in range(begin + 8 * eight, min(begin + 8 * eight + 8, end)):
                if left[row - begin] == 0:
                    continue
                at = -1 if len(memo) == 0 else _memo_place(asked[row], shape)
                answer = NOT_ASKED if at < 0 else int(memo[at])
                if answer == NOT_ASKED:
                    ask = asked[row : row + 1]
                    answer = match_many(
                        ask, shape, grid, below, cost, ratio, score, budget, limit, exact
                    )[0]
                    if at >= 0:
                        memo[at] = answer
                out[row] = score[answer] if answer >= 0 else np.nan
                if answer in (OFF_GRID, INVALID) and first_wrong < 0:
                    first_wrong = row
    return first_wrong


@_jit
def _memo_place(ask, shape):  # type: ignore[no-untyped-def]
    """Where `memo` holds the answer to a configuration, -1 if that is invalid."""
    at = 0
    for i in range(shape.shape[0]):
        m, s = ask[i, 0], ask[i, 1]
        if m < 0 or m >= shape[i, N_MODELS] or s < 1 or s > shape[i, MAX_SAMPLES]:
            return -1
        at = (at * shape[i, N_MODELS] + m) * shape[i, MAX_SAMPLES] + s - 1
    return at


# The four below have one plain loop after the other, none with a branch, so that the compiler makes
# vectors of them and the processor waits for many scores at once.


@_jit
def _excess_bits(asked, shape):  # type: ignore[no-untyped-def]
    """The bits that no number in some rows of `asked` may have, for `near` to have a place."""
    excess = np.empty((_TILE, shape.shape[0], 2), dtype=asked.dtype)
    for i in range(shape.shape[0]):
        excess[:, i, 0] = -1 << shape[i, MODEL_BITS]
        excess[:, i, 1] = -1 << shape[i, SAMPLE_BITS]
    return excess.reshape(-1)


@_jit
def _fits(numbers, excess):  # type: ignore[no-untyped-def]
    wrong = 0
    for begin in range(0, numbers.shape[0], excess.shape[0]):
        part = numbers[begin : begin + excess.shape[0]]
        for i in range(part.shape[0]):
            wrong |= part[i] & excess[i]
    return wrong == 0


@_jit
def _near_sums(asked, shape, near, sums):  # type: ignore[no-untyped-def]
    """Sums over stages of what `near` holds, into `sums`; negative if any of it is invalid."""
    wrong = 0
    for i in range(shape.shape[0]):
        bits, part = np.uint64(shape[i, SAMPLE_BITS]), near[shape[i, NEAR_AT] :]
        for row in range(asked.shape[0]):
            m, s = np.uint64(asked[row, i, 0]), np.uint64(asked[row, i, 1])
            option = part[(m << bits) + s]
            wrong |= option
            sums[row] = option if i == 0 else sums[row] + option
    return wrong


@_jit
def cost_units(n_stages):  # type: ignore[no-untyped-def]
    """How many units a budget has in packed options, so that no sum of them overflows."""
    return _FULL // n_stages - 1


@_jit
def _near_answers(sums, n_stages, score, values, out, left):  # type: ignore[no-untyped-def]
    """Scores of summed options into `out`, and into `left` (uint8) which rows to search for."""
    for row in range(out.shape[0]):
        values[row] = score[np.uint64(sums[row] & _CELL)]
    unit = cost_units(n_stages)
    # With this added, a cost above the budget reaches the highest bit of its field.
    added = (_FULL - unit - 1) << BELOW_BIT
    for row in range(out.shape[0]):
        total, value = sums[row], values[row]
        over = ((total + added) & _OVER) != 0
        out[row] = np.nan if over else value
        left[row] = ((total >= unit << ABOVE_BIT) | (value != value)) & (not over)


@_jit
def interpolate_many(asked, shape, grid, below, cost, score, budget, values, out):  # type: ignore[no-untyped-def]
    """Multilinear in log(samples) between grid points of `values` (cells,), into `out` (n,).

    Returns int64 (n,): 0, or INVALID, OFF_GRID where `asked` lies outside the grid's range,
    OVER_BUDGET, or OFF_GRID where a corner with weight is a hole of `score`.
    """
    n_stages = shape.shape[0]
    status = np.zeros(asked.shape[0], dtype=np.int64)
    corner_cell = np.empty((n_stages, 2), dtype=np.int64)
    corner_weight = np.empty((n_stages, 2))
    for row in range(asked.shape[0]):
        out[row] = np.nan
        total = ask_cost(asked[row], shape, cost)
        if np.isnan(total):
            status[row] = INVALID
            continue
        for i in range(n_stages):
            m, s = asked[row, i, 0], asked[row, i, 1]
            n, at = shape[i, N_GRID], shape[i, GRID_AT]
            k = below[shape[i, BELOW_AT] + s]
            if k < 0:
                status[row] = OFF_GRID
                break
            upper = min(k + 1, n - 1)
            low, high = grid[at + k], grid[at + upper]
            share = 0.0
            if high > low:
                share = np.log(s / low) / np.log(high / low)
            corner_cell[i, 0] = (m * n + k) * shape[i, STRIDE]
            corner_cell[i, 1] = (m * n + upper) * shape[i, STRIDE]
            corner_weight[i, 0], corner_weight[i, 1] = 1.0 - share, share
        if status[row] == 0 and total > budget:
            status[row] = OVER_BUDGET
        if status[row] != 0:
            continue
        result = 0.0
        for corner in range(1 << n_stages):
            weight, index = 1.0, 0
            for i in range(n_stages):
                side = (corner >> i) & 1
                weight *= corner_weight[i, side]
                index += corner_cell[i, side]
            if weight == 0.0:
                continue
            if np.isnan(score[index]):
                status[row] = OFF_GRID
                break
            result += weight * values[index]
        if status[row] == 0:
            out[row] = result
    return status


@_jit
def scan_cells(shape, grid, cost, score, budget, threshold):  # type: ignore[no-untyped-def]
    """The best cell within the budget, and how many there score at least `threshold`.

    The highest score; ties go to the cheaper cell, then to the lower index; -1 where no cell has a
    score. Costs are summed in the order of stages, so nothing as large as the table is made.
    """
    n_stages = shape.shape[0]
    last = n_stages - 1
    option = np.zeros(n_stages, dtype=np.int64)
    spent = np.zeros(n_stages + 1)
    best, best_cost, count = -1, np.inf, 0
    changed = 0
    for cell in range(score.shape[0]):
        for i in range(changed, n_stages):
            m, k = option[i] // shape[i, N_GRID], option[i] % shape[i, N_GRID]
            there = grid[shape[i, GRID_AT] + k]
            at = shape[i, COST_AT] + m * (shape[i, MAX_SAMPLES] + 1) + there
            spent[i + 1] = spent[i] + cost[at]
        c, value = spent[n_stages], score[cell]
        if c <= budget and not np.isnan(value):
            if value >= threshold:
                count += 1
            if (
                best < 0
                or value > score[best]
                or (value == score[best] and _cheaper(c, cell, best_cost, best))
            ):
                best, best_cost = cell, c
        changed = last
        option[last] += 1
        while changed > 0 and option[changed] == shape[changed, N_MODELS] * shape[changed, N_GRID]:
            option[changed] = 0
            changed -= 1
            option[changed] += 1
    return best, count


@_jit
def best_so_far_of_draws(words, values, out):  # type: ignore[no-untyped-def]
    """Best-so-far curves of random search: `words` uint32 (runs, trials) of uniform random bits.

    Each word picks one of `values`, shape (m,), by multiply and shift (Lemire,
    arXiv 1805.10941, without rejection: a bias below m / 2**32). `out` is (runs, trials).
    """
    m = np.uint64(values.shape[0])
    for run in range(words.shape[0]):
        best = -np.inf
        for t in range(words.shape[1]):
            value = values[np.int64((np.uint64(words[run, t]) * m) >> np.uint64(32))]
            best = max(best, value)
            out[run, t] = best


@_jit
def weighted_means_bits(data, rows, weights):  # type: ignore[no-untyped-def]
    """Means of bit-packed outcomes (big-endian bits, as `np.packbits`): (rows, draws)."""
    out = np.zeros((rows.shape[0], weights.shape[0]))
    for r in range(rows.shape[0]):
        for b in range(weights.shape[0]):
            for e in range(weights.shape[1]):
                if (data[rows[r], e >> 3] >> (7 - (e & 7))) & 1:
                    out[r, b] += weights[b, e]
    return out / weights.sum(axis=1)


@_jit
def weighted_means(values, weights):  # type: ignore[no-untyped-def]
    """Means of outcomes (rows, examples) under each row of weights (draws, examples)."""
    out = np.zeros((values.shape[0], weights.shape[0]))
    for r in range(values.shape[0]):
        for b in range(weights.shape[0]):
            for e in range(weights.shape[1]):
                out[r, b] += weights[b, e] * values[r, e]
    return out / weights.sum(axis=1)
