"""tools/attention_maps.py, as a user calls it, in one process."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mammo.evaluation.attention import MIN_BAR_PX, lesion_mask
from mammo.inference.attention import shares
from mammo.records.meta import read_meta, write_meta

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = '{root}/configs/demo/full_breast_224x128_transformer.py'
pipeline = [
    dict(type='LoadMammogram'),
    dict(type='Resize', scale=(80, 112)),
    {step}
    dict(type='MammoPackMultiTaskInputs'),
]
model = dict(backbone=dict(stem_channels=8, base_channels=8), neck={neck})
loader = dict(batch_size=5, num_workers=0)
test_dataloader = dict(dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
"""
CROP = "dict(type='CenterCrop', crop_size=(64, 96)),"
TRANSFORMER = 'dict(in_dims=128, map_size=(3, 2))'
Call = Callable[..., int]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_data: Path) -> Call:
    """Runs the tool on a network with random weights; the exit code."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.delenv('LOCAL_RANK', raising=False)

    def run(*options: str, step: str = CROP, neck: str = TRANSFORMER) -> int:
        config = tmp_path / 'config.py'
        config.write_text(CONFIG.format(root=ROOT, data=toy_data, step=step, neck=neck))
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(config).model)
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'random.pth')
        command = ['attention_maps.py', config, tmp_path / 'random.pth', '--out-dir', tmp_path / 'out']
        command += ['--work-dir', tmp_path / 'work', *options]
        monkeypatch.setattr(sys, 'argv', [str(part) for part in command])
        try:
            runpy.run_path(str(ROOT / 'tools/attention_maps.py'), run_name='__main__')
        except SystemExit as exit_:
            return int(exit_.code or 0)
        return 0

    return run


def test_one_picture_per_image_at_the_size_of_the_file_with_a_color_bar(call: Call, tmp_path: Path) -> None:
    assert call() == 0
    content = json.loads((tmp_path / 'out/attention.json').read_text())
    assert content['maps'] == ['block 1, mean']
    assert content['lesions'] == []
    (correlation,) = content['alike']
    assert correlation['n_images'] == 8
    assert 0 < correlation['correlation'] <= 1
    assert len(content['images']) == 8
    for record in content['images']:
        assert cv2.imread(str(tmp_path / 'out' / record['file'])).shape == (
            150 + 18,
            80 + (80 + MIN_BAR_PX),
            3,
        )


def test_the_gallery_shows_every_picture_with_side_and_view(
    call: Call, tmp_path: Path, toy_data: Path
) -> None:
    meta = read_meta(toy_data / 'test.json')
    items = [dict(item, laterality='LR'[i % 2], view='CC') for i, item in enumerate(meta['data_list'])]
    write_meta(tmp_path / 'views.json', items, meta['metainfo']['tasks'])
    assert call('--ann-file', str(tmp_path / 'views.json')) == 0
    page = (tmp_path / 'out/gallery.html').read_text()
    assert 'Attention on 8 images of 8 breasts' in page
    for item, record in zip(
        items, json.loads((tmp_path / 'out/attention.json').read_text())['images'], strict=True
    ):
        assert (record['laterality'], record['view']) == (item['laterality'], 'CC')
        title = f'{item["patient_id"]} {item["laterality"]} CC'
        assert f'src="{record["file"]}" alt="{title}"' in page


def test_single_heads_have_a_panel_each(call: Call, tmp_path: Path) -> None:
    assert call('--heads', 'single') == 0
    names = json.loads((tmp_path / 'out/attention.json').read_text())['maps']
    assert names == [f'block 1, head {i}' for i in range(1, 9)]
    picture = cv2.imread(str(next((tmp_path / 'out').glob('*.png'))))
    assert picture.shape == (150 + 18, 80 + 8 * (80 + MIN_BAR_PX), 3)


def test_known_lesions_are_measured_against_chance(call: Call, tmp_path: Path, toy_data: Path) -> None:
    meta = read_meta(toy_data / 'test.json')
    items = [dict(item, lesions=[[40, 75, 15]]) for item in meta['data_list'][:-1]]
    items += [dict(meta['data_list'][-1], lesions=[])]
    write_meta(tmp_path / 'lesions.json', items, meta['metainfo']['tasks'])
    assert call('--ann-file', str(tmp_path / 'lesions.json')) == 0
    rows = json.loads((tmp_path / 'out/attention.json').read_text())['lesions']
    over_image = rows[0]
    assert (over_image['area'], over_image['n_images'], over_image['n_patients']) == ('image', 7, 4)
    seen_px = (80 * 64 / 80) * (150 * 96 / 112)
    assert over_image['chance'] == pytest.approx(3.1416 * 15**2 / seen_px, rel=0.03)
    assert over_image['value'] == pytest.approx(over_image['share'] / over_image['chance'])


def test_an_image_without_attention_in_its_breast_is_measured_where_there_is_some() -> None:
    breast = lesion_mask([[0, 120, 100]], (240, 160), (240, 160))
    noise = np.random.default_rng(0).integers(0, 40, breast.shape)
    image, lesions = (
        np.where(breast, 180 + noise, 0).astype(np.uint8),
        lesion_mask([[30, 120, 9]], *[(240, 160)] * 2),
    )
    outside = np.where(breast, 0.0, 1.0)[None]
    outside[:, :, :110] = 0
    of_lesions = shares(image, outside, lesions)['lesion_share_and_chance']
    assert of_lesions == dict(image=[(0, pytest.approx(lesions.mean()))])
    assert shares(image, np.zeros_like(outside), lesions) == {}


def test_attention_to_markers_and_borders_is_told_from_attention_to_the_breast() -> None:
    breast = lesion_mask([[0, 120, 100]], (240, 160), (240, 160))
    image = np.where(breast, np.random.default_rng(0).integers(180, 220, breast.shape), 0).astype(np.uint8)
    marker = np.zeros((240, 160))
    marker[10:20, 140:155] = 1
    for looks_at, share in ((marker, 1), (breast, 0), (np.ones_like(marker), (~breast).mean())):
        (pair,) = shares(image, looks_at[None].astype(float), None)['background_share_and_chance']['image']
        assert pair == pytest.approx((share, (~breast).mean()), abs=0.03)


def test_neck_without_attention_is_named(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    neck = "dict(_delete_=True, type='DwiseConvResBlockPooling', in_channels=128)"
    assert call(neck=neck) == 2
    message = capsys.readouterr().err
    assert 'model.neck is DwiseConvResBlockPooling, which has no attention; use a config with' in message


def test_pipeline_that_cannot_be_traced_back_is_refused(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(step="dict(type='RandomFlip', prob=1.0),") == 2
    assert "test pipeline has ['Resize', 'RandomFlip'], attention is drawn for" in capsys.readouterr().err
