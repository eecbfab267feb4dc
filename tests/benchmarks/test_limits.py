"""Limits of the machine that stand above the benchmarks."""

from benchmarks import limits


def test_limits_are_rates_of_the_work_that_is_named(monkeypatch) -> None:
    monkeypatch.setattr(limits, 'SIZE', 64)
    monkeypatch.setattr(limits, 'COPIED_MIB', 1)
    monkeypatch.setattr(limits, 'FILM', (64, 64))
    clock = iter(range(1000))
    monkeypatch.setattr(limits.time, 'process_time', lambda: next(clock) / 2)  # each takes half a second
    found = limits.measure()
    rates = {name.split(',')[-1].split()[-1]: rate['median'] for name, rate in found['limits'].items()}
    assert rates == {'GFLOP/s': 2 * 2 * 64**3 / 1e9, 'GB/s': 2 * 2 * 2**20 / 1e9, 'Mpixel/s': 2 * 64**2 / 1e6}
    text = limits.as_text(found, found)
    assert found['machine'] in text
    assert text.count('\n') == 7
