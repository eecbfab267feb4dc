"""A short run of the fuzzer; the long one is tests/torture/fuzz_dicom.py itself."""

import sys

import pytest

from tests.torture import fuzz_dicom


@pytest.mark.parametrize('n_cases', [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_and_random_files_give_the_right_picture_or_a_reason(n_cases, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['fuzz_dicom.py', '--cases', str(n_cases), '--seed', '12345'])
    fuzz_dicom.main()
    printed = capsys.readouterr().out
    assert f'seeds 12345 to {12345 + n_cases - 1}' in printed
    assert sum(int(line.split()[0]) for line in printed.splitlines()[1:-1]) == n_cases
    assert 'damaged: image' in printed
    assert 'compared: picture' in printed


def test_an_undocumented_exception_stops_the_run_with_its_seed(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['fuzz_dicom.py', '--cases', '3', '--seed', '7'])
    monkeypatch.setattr(fuzz_dicom, 'run_case', lambda *_: {}['x'])
    with pytest.raises(SystemExit, match='seed 8: a wrong picture, or an exception outside'):
        fuzz_dicom.main()
