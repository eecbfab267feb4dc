"""The lists of the loader benchmark at full length: what a worker holds for itself alone stays small."""

import pytest

from benchmarks import bench_loader
from dataset import MammoMultiTaskDataset, MammoPatchDataset

LIMIT_MB = 500


@pytest.mark.slow
def test_worker_on_a_list_of_a_million_patches_stays_small(tmp_path) -> None:
    (tmp_path / 'list.txt').write_text(''.join(f'png/{i // 40:05d}/{i % 40}.png\n' for i in range(10**6)))
    assert bench_loader.entries(MammoPatchDataset, tmp_path, 'list.txt')['worker_private_mb'] < LIMIT_MB


@pytest.mark.slow
def test_worker_on_a_meta_file_of_a_million_images_stays_small(tmp_path) -> None:
    bench_loader.write_meta_file(tmp_path / 'meta.json')
    assert (tmp_path / 'meta.json').stat().st_size > 150e6
    row = bench_loader.entries(MammoMultiTaskDataset, tmp_path, 'meta.json')
    assert '1000000 entries' in row['stage']
    assert row['worker_private_mb'] < LIMIT_MB
