"""The table of the benchmarks: ratios with their spread, and times beside the limit of the machine."""

import numpy as np
import pytest

from benchmarks import limits, table


def test_ratio_has_the_spread_of_its_turns() -> None:
    pair = table.Pair.of(np.array([[4.0, 2.0], [9.0, 3.0], [5.0, 1.0]]))
    assert (pair.stock, pair.ours) == (5, 2)
    assert pair.spread == (2, 5)


def test_each_side_is_converted_by_its_own_factor() -> None:
    pair = table.Pair.of(np.array([[4.0, 2.0], [9.0, 3.0]])).times(10, 5)
    assert (pair.stock, pair.ours) == (65, 12.5)
    assert pair.spread == (4, 6)


def test_limit_is_the_sum_of_the_least_times_in_the_unit_of_the_row() -> None:
    pair = table.Pair(0.2, 0.1, (2, 2)).times(1000)
    needs = {limits.FLOAT32: 3.0, limits.DECODED: 1.0}
    rates = {limits.FLOAT32: 100.0, limits.DECODED: 50.0}
    line, bare = table.with_limits(
        [table.compared('a', pair, 'ms', None, needs=needs), table.row('b', None, 1, 's', None)], rates
    )
    assert line['limit'] == pytest.approx(30 + 20)
    assert line['of_limit'] == pytest.approx(2)
    assert '| 2 to 2 | 50 | 2 |' in table.as_text([line])
    assert 'limit' not in bare


@pytest.mark.parametrize(('most', 'most_mib', 'met'), [(2.1, 9, True), (1.9, 9, False), (2.1, 7, False)])
def test_a_target_in_multiples_of_the_limit_is_judged_with_the_others(
    most: float, most_mib: float, met: bool
) -> None:
    aims = dict(most_of_limit=most, most_mib=most_mib)
    line = table.row('a', None, 0.2, 's', 8, needs={limits.FLOAT32: 10.0}, **aims)
    (judged,) = table.with_limits([line], {limits.FLOAT32: 100.0})
    assert judged['met'] is met
    assert judged['target'] == f'<= {most_mib} MiB, <= {most} of the limit'


def test_rates_are_means_of_before_and_after() -> None:
    measured = [dict(limits={limits.MEMORY: dict(median=rate)}) for rate in (4.0, 8.0)]
    assert limits.rates(*measured) == {limits.MEMORY: 6}
