"""Attention of a network over the images of a test set, drawn and compared with lesions.

config, checkpoint, meta file -> a PNG per image, attention.json, gallery.html
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from numpy.typing import NDArray

from mammo.engine.checks.data import items_of
from mammo.engine.config.reading import set_options
from mammo.engine.run import load_config
from mammo.errors import DataError
from mammo.evaluation.attention import (
    TRACEABLE,
    NoAttentionError,
    alike,
    axes_of,
    in_breast,
    lesion_mask,
    on_image,
    ratio_to_chance,
    share_inside,
    thumbnail,
    to_draw,
    with_color_bar,
)
from mammo.inference.export import OTHER_STEPS, steps_of_images
from mammo.pages.attention import gallery
from mammo.preprocess.picture.breast import NoBreastError, breast_mask
from mammo.records.storage.files import replacing, write_json, write_text
from mammo.records.storage.png import read_grey, to_uint8
from mammo.records.versions import VERSIONS
from models.necks.attention_maps import attention_maps
from models.necks.fitting import cells_of

CAPTION_PX = 18
# where attention is measured, and the key of its shares in the record of an image
PLACES = dict(lesions='lesion_share_and_chance', background='background_share_and_chance')


def draw_attention(
    config: str | Path,
    checkpoint: str | Path,
    out_dir: Path,
    *,
    ann_file: str | None = None,
    single_heads: bool = False,
    seed: int = 0,
    cfg_options: list[str] | None = None,
    **shared: Any,
) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw every image of a meta file, and write ``attention.json`` and ``gallery.html``.

    Args:
        config, checkpoint: of a model whose neck attends.
        out_dir: folder of the result.
        ann_file: meta file, relative to ``data_root``; default: the config's test file.
        single_heads: a map per head, not their mean.
        seed: of the bootstrap.
        cfg_options: ``key=value`` texts, which come last and win.
        **shared: see :func:`mammo.engine.run.load_config`.

    Returns:
        Number of images; attention in lesions and outside the breast, each against chance, of each map; how
        alike each map is in two images.

    Raises:
        UserError: config, data or checkpoint cannot be used.
    """
    cfg = load_config(config, **shared)
    cfg.load_from = str(checkpoint)
    set_options(cfg, cfg_options)
    cfg.test_dataloader.dataset.ann_file = ann_file or cfg.test_dataloader.dataset.ann_file
    records, names, thumbnails = [], [], []
    for i, (item, image, maps, lesions) in enumerate(attended_images(build_runner(cfg), single_heads)):
        heads = [f'head {h + 1}' for h in range(maps.shape[1])] if single_heads else ['mean']
        names = [f'block {b + 1}, {head}' for b in range(maps.shape[0]) for head in heads]
        maps = maps.reshape(-1, *image.shape)  # (blocks * heads, H, W)
        file = f'{i:05d}_{Path(item["img_name"]).stem}.png'
        with replacing(out_dir / file) as tmp:
            cv2.imwrite(str(tmp), picture(image, maps, names, lesions)[..., ::-1])
        identity = {field: item.get(field) for field in ('patient_id', 'laterality', 'view')}
        record = dict(img_path=item['img_name'], file=file) | identity
        records.append(record | shares(image, maps, lesions))
        thumbnails.append([thumbnail(attention) for attention in maps])
    rng = np.random.default_rng(seed)
    summaries = {place: summarise(records, place, names, rng) for place in PLACES}
    correlations = [
        dict(map=name, correlation=alike(np.array(of_map)), n_images=len(of_map))
        for name, of_map in zip(names, zip(*thumbnails, strict=True), strict=True)
    ]
    content = dict(format_version=VERSIONS['attention'], maps=names, images=records, **summaries)
    content |= dict(alike=correlations, seed=seed)
    write_json(out_dir / 'attention.json', content)
    write_text(out_dir / 'gallery.html', gallery(records))
    return len(records), [row for rows in summaries.values() for row in rows], correlations


def build_runner(cfg: Config) -> Runner:
    """The runner with weights loaded, if attention can be drawn for its network and test pipeline."""
    steps = [step['type'] for step in steps_of_images(cfg.test_dataloader.dataset.pipeline)]
    moves = [step for step in steps if step not in OTHER_STEPS]
    if moves not in TRACEABLE:
        raise DataError(f'{cfg.filename}: test pipeline has {moves}, attention is drawn for {TRACEABLE} only')
    runner = RUNNERS.build(cfg)
    neck = getattr(runner.model, 'neck', None)
    if not getattr(neck, 'attends', False):
        raise DataError(
            f'{cfg.filename}: model.neck is {type(neck).__name__}, which has no attention; '
            'use a config with TransformerNeck'
        )
    runner.load_or_resume()
    return runner


@torch.inference_mode()
def attended_images(
    runner: Runner, single: bool
) -> Iterator[tuple[dict[str, Any], NDArray, NDArray, NDArray | None]]:
    """Item of each test image, the image (H, W), maps (depth, 1 or heads, H, W), and lesions (H, W)."""
    model = runner.model.eval()
    cells = cells_of(model.backbone, getattr(model.data_preprocessor, 'channels', 3))
    items = {item['img_name']: item for item in items_of(runner.test_dataloader.dataset)}
    for batch in runner.test_dataloader:
        data = model.data_preprocessor(batch)
        feats = model.extract_feat(data['inputs'], stage='backbone')
        maps = attention_maps(model.neck, feats)
        maps = maps if single else maps.mean(dim=2, keepdim=True)
        for metainfo, tokens, n_rows in parts_of(
            data['data_samples'], maps.cpu().numpy(), feats[-1].shape[2]
        ):
            item = items[metainfo['img_name']]
            grey, bits = read_grey(item['img_path'])
            image = to_draw(to_uint8(grey, bits=bits))
            rows, columns = axes_of(metainfo, model.neck.geometry, (n_rows, feats[-1].shape[3]), *cells)
            lesions = item.get('lesions')
            if lesions is not None:
                lesions = lesion_mask(lesions, grey.shape, image.shape)
            yield item, image, on_image(tokens, rows, columns, image.shape), lesions


def parts_of(samples: list[Any], maps: NDArray, n_rows: int) -> Iterator[tuple[dict[str, Any], NDArray, int]]:
    """What is known of each image, its part of the maps of its sample (B, ..., h, w), and rows of its map."""
    for sample, tokens in zip(samples, maps, strict=True):
        views = sample.get('views') or [sample.metainfo]
        for metainfo, part in zip(views, np.split(tokens, len(views), axis=-2), strict=True):
            if metainfo is not None:
                yield metainfo, part, n_rows // len(views)


def picture(image: NDArray, maps: NDArray, names: list[str], lesions: NDArray | None) -> NDArray:
    """Image (H, W), its maps (m, H, W) -> RGB: the image, lesions outlined, and each map beside it."""
    plain = np.repeat(image[..., None], 3, axis=2)
    panels = [plain, *(with_color_bar(image, attention) for attention in in_breast(image, maps))]
    if lesions is not None:
        outlines, _ = cv2.findContours(lesions.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        panels = [cv2.drawContours(panel, outlines, -1, (255, 255, 255), 1) for panel in panels]
    strips = [np.zeros((CAPTION_PX, panel.shape[1], 3), np.uint8) for panel in panels]
    for strip, text in zip(strips, ['image', *names], strict=True):
        cv2.putText(strip, text, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([np.hstack(strips), np.hstack(panels)])


def shares(image: NDArray, maps: NDArray, lesions: NDArray | None) -> dict[str, dict[str, list]]:
    """Share of each map (m, H, W) in lesions (H, W) and outside the breast, each with chance, by area.

    An area in which a map is zero all over has no shares: the image does not count there.
    """
    try:
        breast = breast_mask(image)
    except NoBreastError:  # then measured over the image alone
        breast = None
    wanted = (
        ('lesions', 'image', lesions, None),
        ('lesions', 'breast', None if breast is None else lesions, breast),
        ('background', 'image', None if breast is None else ~breast, None),
    )
    measured: dict[str, dict[str, list]] = {}
    for place, area, inside, within in wanted:
        if inside is not None and inside.any():
            with suppress(NoAttentionError):
                pairs = [share_inside(m, inside, within) for m in maps]
                measured.setdefault(PLACES[place], {})[area] = pairs
    return measured


def summarise(
    records: list[dict], place: str, names: list[str], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Attention in a place against chance for each map and area, over the images where it was measured."""
    rows = []
    for area in ('image', 'breast'):
        measured = [r for r in records if area in r.get(PLACES[place], {})]
        patients = np.array([r['patient_id'] or r['img_path'] for r in measured])
        for i, name in enumerate(names if measured else []):
            pairs = np.array([r[PLACES[place]][area][i] for r in measured])  # (n, 2)
            ratio = ratio_to_chance(pairs[:, 0], pairs[:, 1], patients, rng)
            rows.append(dict(map=name, place=place, area=area, **ratio))
    return rows
