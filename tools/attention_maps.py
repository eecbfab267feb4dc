"""Draw where the Transformer neck's class token looks, over the original images.

config, checkpoint, meta file -> a PNG per image, attention.json; where lesions are known, attention in them
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from numpy.typing import NDArray

from mammo.engine.cli import load_config, one_message_for_bad_input
from mammo.engine.config import set_options
from mammo.errors import DataError
from mammo.evaluation.attention import Axis, lesion_mask, on_image, overlay, ratio_to_chance, share_inside
from mammo.options import add_config_arguments
from mammo.preprocess.breast import NoBreastError, breast_mask
from mammo.records.files import replacing, write_json
from mammo.records.png import read_grey, to_uint8
from models.attention_maps import attention_maps
from models.transformer_neck import POOLS, TransformerNeck

FORMAT_VERSION = 1
# Test pipelines whose way from file to input can be traced back; a CenterCrop comes after the Resize.
PIPELINES = (['Resize'], ['Resize', 'CenterCrop'])
UNMOVED = ('LoadMammogram', 'LoadImageFromFile', 'MammoPackMultiTaskInputs')
MAX_SIDE_PX = 1024  # of a drawn image
CAPTION_PX = 18


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out-dir', type=Path, required=True)
    parser.add_argument(
        '--ann-file', help="meta file, relative to data_root; default: the config's test file"
    )
    parser.add_argument('--heads', choices=['average', 'single'], default='average')
    parser.add_argument('--seed', type=int, default=0, help='of the bootstrap')
    return parser.parse_args()


def build_runner(cfg: Config) -> Runner:
    """The runner with weights loaded, if attention can be drawn for its network and test pipeline."""
    moves = [t['type'] for t in cfg.test_dataloader.dataset.pipeline if t['type'] not in UNMOVED]
    if moves not in PIPELINES:
        raise DataError(f'{cfg.filename}: test pipeline has {moves}, attention is drawn for {PIPELINES} only')
    runner = RUNNERS.build(cfg)
    neck = getattr(runner.model, 'neck', None)
    if not isinstance(neck, TransformerNeck):
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
    """What is known of each test image, the image (H, W), maps (depth, 1 or heads, H, W), and lesions."""
    model = runner.model.eval()
    items = {item['img_name']: item for item in runner.test_dataloader.dataset.data_list}
    for batch in runner.test_dataloader:
        data = model.data_preprocessor(batch)
        maps = attention_maps(model.neck, model.extract_feat(data['inputs'], stage='backbone'))
        maps = maps if single else maps.mean(dim=2, keepdim=True)
        for sample, tokens in zip(data['data_samples'], maps.cpu().numpy(), strict=True):
            known = items[sample.img_name]
            grey, bits = read_grey(known['img_path'])
            shrink = min(1, MAX_SIDE_PX / max(grey.shape))
            shape = tuple(max(1, round(side * shrink)) for side in grey.shape)
            image = cv2.resize(to_uint8(grey, bits=bits), shape[::-1], interpolation=cv2.INTER_AREA)
            rows, columns = axes(sample.metainfo, model.neck)
            lesions = known.get('lesions')
            if lesions is not None:
                lesions = lesion_mask(lesions, grey.shape, shape)
            yield known, image, on_image(tokens, rows, columns, shape), lesions


def axes(sample: dict[str, Any], neck: TransformerNeck) -> tuple[Axis, Axis]:
    """Rows and columns of one image; Resize gives (w, h) factors, all other fields are (h, w)."""
    fields = sample['ori_shape'], sample['scale_factor'][::-1], sample['img_shape']
    pool = [POOLS[neck.pooling_size][key] for key in ('kernel', 'stride', 'padding')]
    rows, columns = (Axis(*values) for values in zip(*fields, *pool, strict=True))
    return rows, columns


def picture(image: NDArray, maps: NDArray, names: list[str], lesions: NDArray | None) -> NDArray:
    """Image (H, W), its maps (m, H, W) -> RGB: the image, lesions outlined, and each map beside it."""
    plain = np.repeat(image[..., None], 3, axis=2)
    panels = [plain, *(overlay(image, attention) for attention in maps)]
    if lesions is not None:
        outlines, _ = cv2.findContours(lesions.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        panels = [cv2.drawContours(panel, outlines, -1, (255, 255, 255), 1) for panel in panels]
    strips = [np.zeros((CAPTION_PX, image.shape[1], 3), np.uint8) for _ in panels]
    for strip, text in zip(strips, ['image', *names], strict=True):
        cv2.putText(strip, text, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([np.hstack(strips), np.hstack(panels)])


def shares(image: NDArray, maps: NDArray, lesions: NDArray) -> dict[str, list[tuple[float, float]]]:
    """Share of each map (m, H, W) in lesions and chance, over the image and over the breast alone."""
    areas: dict[str, NDArray | None] = dict(image=None)
    with suppress(NoBreastError):  # then measured over the image alone
        areas['breast'] = breast_mask(image)
    return {area: [share_inside(m, lesions, mask) for m in maps] for area, mask in areas.items()}


def main() -> None:
    args = parse_args()
    records, names = [], []
    with one_message_for_bad_input():
        cfg = load_config(args)
        cfg.load_from = args.checkpoint
        set_options(cfg, args.cfg_options)
        cfg.test_dataloader.dataset.ann_file = args.ann_file or cfg.test_dataloader.dataset.ann_file
        for i, (known, image, maps, lesions) in enumerate(
            attended_images(build_runner(cfg), args.heads == 'single')
        ):
            heads = [f'head {h + 1}' for h in range(maps.shape[1])] if args.heads == 'single' else ['mean']
            names = [f'block {b + 1}, {head}' for b in range(maps.shape[0]) for head in heads]
            maps = maps.reshape(-1, *image.shape)  # (blocks * heads, H, W)
            file = f'{i:05d}_{Path(known["img_name"]).stem}.png'
            with replacing(args.out_dir / file) as tmp:
                cv2.imwrite(str(tmp), picture(image, maps, names, lesions)[..., ::-1])
            record = dict(img_path=known['img_name'], patient_id=known.get('patient_id'), file=file)
            if lesions is not None and lesions.any():
                record['lesion_share_and_chance'] = shares(image, maps, lesions)
            records.append(record)
    summary = summarise(records, names, np.random.default_rng(args.seed))
    content = dict(format_version=FORMAT_VERSION, maps=names, images=records, lesions=summary, seed=args.seed)
    write_json(args.out_dir / 'attention.json', content)
    print(f'{len(records)} images in {args.out_dir}')
    for row in summary:
        print('{map} in lesions, over the {area}: {share:.3f}, chance {chance:.3f}, ratio {value:.2f} '
              '({ci_low:.2f} to {ci_high:.2f}), {n_images} images'.format(**row))  # fmt: skip


def summarise(records: list[dict], names: list[str], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Attention in lesions against chance for each map and area, over the images with lesions."""
    rows = []
    for area in ('image', 'breast'):
        measured = [r for r in records if area in r.get('lesion_share_and_chance', {})]
        patients = np.array([r['patient_id'] or r['img_path'] for r in measured])
        for i, name in enumerate(names if measured else []):
            pairs = np.array([r['lesion_share_and_chance'][area][i] for r in measured])  # (n, 2)
            rows.append(dict(map=name, area=area, **ratio_to_chance(pairs[:, 0], pairs[:, 1], patients, rng)))
    return rows


if __name__ == '__main__':
    main()
