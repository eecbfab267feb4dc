"""Lists of a million entries: what a worker holds for itself alone stays small."""

import pytest

from benchmarks import bench_lists
from dataset import MammoMultiTaskDataset, MammoPatchDataset


@pytest.mark.slow
def test_worker_on_a_list_of_a_million_patches_stays_small(tmp_path) -> None:
    bench_lists.write_list(tmp_path / 'list.txt')
    found = bench_lists.entries(MammoPatchDataset, tmp_path, 'list.txt')
    assert found['worker_private_mib'] < bench_lists.MOST_MIB


@pytest.mark.slow
def test_worker_on_a_meta_file_of_a_million_images_stays_small(tmp_path) -> None:
    bench_lists.write_meta_file(tmp_path / 'meta.json')
    assert (tmp_path / 'meta.json').stat().st_size > 150e6
    found = bench_lists.entries(MammoMultiTaskDataset, tmp_path, 'meta.json')
    assert found['worker_private_mib'] < bench_lists.MOST_MIB
