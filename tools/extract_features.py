"""Mammogram features of images and patients, for the fusion stage.

config, checkpoint, meta files -> features.npz: x per patient, image_x per image, ids, column names
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from numpy.typing import NDArray

from mammo.engine.cli import add_common_arguments, load_config, one_message_for_bad_input
from mammo.engine.image_check import check_images
from mammo.errors import DataError
from mammo.records.files import replacing

FORMAT_VERSION = 1
AGGREGATES = dict(mean=np.mean, max=np.max)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, help='features file, .npz')
    parser.add_argument(
        '--stage',
        choices=['head', 'neck', 'backbone'],
        default='head',
        help='head: raw output per task; neck: what the heads read; backbone: average over the feature map',
    )
    parser.add_argument(
        '--ann-file', nargs='+', help="meta files, relative to data_root; default: the config's test file"
    )
    parser.add_argument('--aggregate', choices=AGGREGATES, default='mean', help="over a patient's images")
    parser.add_argument(
        '--all-sides', action='store_true', help='also use images of the breast without tumor'
    )
    return parser.parse_args()


@torch.inference_mode()
def image_features(runner: Runner, stage: str) -> tuple[NDArray[np.float32], list[str], list[dict]]:
    """Run the test set through the network.

    Returns:
        features (n, k), names of the k columns, and what is known of each of the n images.
    """
    model = runner.model.eval()
    batches, images = [], []
    for batch in runner.test_dataloader:
        data = model.data_preprocessor(batch)
        if stage == 'head':
            outputs = model.head(model.extract_feat(data['inputs']))
            features = torch.stack([outputs[task] for task in outputs], dim=1)  # (B, tasks)
        else:
            features = model.extract_feat(data['inputs'], stage=stage)[-1]
            features = features.mean(dim=(2, 3)) if features.ndim == 4 else features  # (B, C)
        batches.append(features.float().cpu().numpy())
        images += [sample.metainfo for sample in data['data_samples']]
    x = np.concatenate(batches)
    names = list(model.head.task_heads) if stage == 'head' else [f'{stage}_{i}' for i in range(x.shape[1])]
    return x, names, images


def of_tumor_side(image: dict) -> bool:
    """Whether an image shows the breast with the tumor, as far as that is known."""
    side, laterality = image.get('tumor_side'), image.get('laterality')
    return side is None or laterality is None or side == laterality


def per_patient(x: NDArray, patients: NDArray, aggregate: str) -> tuple[NDArray, NDArray]:
    """(n, k) and ids (n,) -> (p, k) and ids (p,), sorted."""
    ids = np.unique(patients)
    return np.stack([AGGREGATES[aggregate](x[patients == patient], axis=0) for patient in ids]), ids


def read_images(args: argparse.Namespace) -> tuple[NDArray[np.float32], list[str], list[dict]]:
    """Features of the images of all meta files that patients are described by, see :func:`image_features`."""
    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    cfg.merge_from_dict(args.cfg_options or {})
    parts = []
    for ann_file in args.ann_file or [cfg.test_dataloader.dataset.ann_file]:
        cfg.test_dataloader.dataset.ann_file = ann_file
        runner = RUNNERS.build(cfg)
        if args.check_data:
            check_images(item['img_path'] for item in runner.test_dataloader.dataset.data_list)
        runner.load_or_resume()
        with torch.autocast(get_device(), enabled=args.amp):
            parts.append(image_features(runner, args.stage))
    images = [image for part in parts for image in part[2]]
    return np.concatenate([part[0] for part in parts]), parts[0][1], images


def described(images: list[dict], *, all_sides: bool) -> list[int]:
    """Positions of the images that describe their patient; patients who have none are named in the log.

    Raises:
        DataError: an image has no patient_id.
    """
    unnamed = [image['img_name'] for image in images if image.get('patient_id') is None]
    if unnamed:
        raise DataError(f'{len(unnamed)} images have no patient_id in the meta file: {unnamed[:5]}')
    kept = [i for i, image in enumerate(images) if all_sides or of_tumor_side(image)]
    left_out = {image['patient_id'] for image in images} - {images[i]['patient_id'] for i in kept}
    if left_out:
        print_log(f'{len(left_out)} patients have no image of the tumor side: {sorted(left_out)}', 'current')
    return kept


def main() -> None:
    args = parse_args()
    with one_message_for_bad_input():
        if args.launcher != 'none':
            raise DataError(f'--launcher {args.launcher}: features are extracted by one process')
        x, names, images = read_images(args)
        kept = described(images, all_sides=args.all_sides)
        x, images = x[kept], [images[i] for i in kept]
        patients = np.array([image['patient_id'] for image in images])
        patient_x, patient_id = per_patient(x, patients, args.aggregate)
    with replacing(args.out) as tmp:
        np.savez(
            tmp,
            format_version=FORMAT_VERSION,
            image_id=np.array([image['img_name'] for image in images]),
            image_patient_id=patients,
            image_x=x,
            patient_id=patient_id,
            x=patient_x.astype(np.float32),
            column=np.array(names),
            stage=args.stage,
            aggregate=args.aggregate,
        )


if __name__ == '__main__':
    main()
