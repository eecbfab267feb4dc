"""The image models of a bundle: architecture as checked data, weights, one pass for all members.

model.json, safetensors -> Network; grey image uint8 (H, W) -> logits (members, tasks), attention
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from numpy.typing import NDArray
from torch import Tensor, nn

import models  # noqa: F401  (registers names)
from mammo.evaluation.attention import TRACEABLE, Axis, axes_of
from mammo.inference.bundle.architecture import BACKBONE, check_model
from mammo.inference.bundle.folder import BundleError
from mammo.inference.export import SIZE_STEPS
from models.ensemble import Ensemble
from models.necks.attention_maps import attention_maps
from models.necks.fitting import cells_of

Maps = dict[int, tuple[Tensor, ...]]  # of one image, by backbone


class Pass(NamedTuple):
    """What the members make of one image."""

    logits: NDArray[np.float32]  # (members, tasks)
    attention: NDArray[np.float32] | None  # (h, w) on the token grid, mean over members and heads
    axes: tuple[Axis, Axis] | None  # from tokens to pixels of the image: rows, columns


class Network:
    """All members on one device; backbones that are equal run once per image."""

    def __init__(self, model: dict[str, Any], steps: list[dict[str, Any]], device: torch.device) -> None:
        check_model(model)
        odd = [step['type'] for step in steps if step['type'] not in SIZE_STEPS]
        if odd:
            raise BundleError(f'preprocessing.json: steps {odd} are none of {SIZE_STEPS}')
        init_default_scope('mammo')
        self.device, self.ensemble = device, Ensemble()
        self.blank = MODELS.build(model).to(device).eval()
        self.steps = [TRANSFORMS.build({k: _tuple(v) for k, v in step.items()}) for step in steps]
        self.tasks = {name: head.kind for name, head in self.blank.head.task_heads.items()}
        traceable = [step['type'] for step in steps] in TRACEABLE
        neck = getattr(self.blank, 'neck', None)
        self.n_views: int = getattr(neck, 'n_views', 1)
        self.attends = traceable and getattr(neck, 'attends', False)
        channels = getattr(self.blank.data_preprocessor, 'channels', 3)
        self.cells = cells_of(self.blank.backbone, channels) if self.attends else None

    def add(self, weights: dict[str, Tensor], name: str) -> None:
        """One more member; without weights of a backbone it shares that of the first.

        Raises:
            BundleError: the weights are not those of the architecture.
        """
        shares = not any(key.startswith(BACKBONE) for key in weights)
        if shares:
            self.blank.backbone = nn.Identity()  # neither loaded nor copied again
        try:
            self.blank.load_state_dict(weights)
        except RuntimeError as error:
            raise BundleError(f'{name}: does not fit model.json: {str(error)[:500]}') from None
        if not shares:
            return self.ensemble.add(self.blank)
        member, first = copy.deepcopy(self.blank), self.ensemble.members[0]
        member.backbone, member.folded = first.backbone, first.folded
        self.ensemble.members.append(member)

    @torch.inference_mode()
    def __call__(
        self,
        images: Sequence[NDArray[np.uint8]],
        progress: Callable[[int, int], None] | None = None,
        samples: Sequence[tuple[int | None, ...]] | None = None,
    ) -> list[Pass]:
        """All members on the images of an exam, in this order; backbones sample by sample, to save memory.

        Args:
            progress: called with the number of samples done, and of all.
            samples: numbers of the images that are seen together, see :func:`mammo.patients.shown_together`;
                default: each alone. An image in several gets the pass of the first.
        """
        samples = samples or [(i,) for i in range(len(images))]
        maps, axes = [], []
        for done, sample in enumerate(samples, start=1):
            views = [None if i is None else self._resized(images[i]) for i in sample]
            shape = next(view['img'].shape for view in views if view is not None)
            blank = np.zeros(shape, np.uint8)
            maps.append(self._maps(np.concatenate([blank if v is None else v['img'] for v in views])))
            axes.append([None if v is None else self._axes(v, maps[-1], len(sample)) for v in views])
            if progress:
                progress(done, len(samples))
        shapes = {tuple(m.shape for part in of_sample.values() for m in part) for of_sample in maps}
        batches = [maps] if len(shapes) == 1 else [[of_sample] for of_sample in maps]
        seen = [one for batch in batches for one in self._through_necks(batch)]
        passes: dict[int, Pass] = {}
        for sample, (logits, attention), places in zip(samples, seen, axes, strict=True):
            parts = [None] * len(sample) if attention is None else np.split(attention, len(sample))
            for i, part, place in zip(sample, parts, places, strict=True):
                if i is not None:
                    passes.setdefault(i, Pass(logits, part, place))
        return [passes[i] for i in range(len(images))]

    def _resized(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        results: dict[str, Any] = dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        for step in self.steps:
            results = step(results)
        return results

    def _maps(self, image: NDArray[np.uint8]) -> Maps:
        """(H, W) -> maps of each distinct backbone."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)[None, None]
        by_backbone: Maps = {}
        for member in self.ensemble.members:
            if id(member.backbone) not in by_backbone:
                inputs = member.data_preprocessor(dict(inputs=pixels))['inputs']
                by_backbone[id(member.backbone)] = member.maps(inputs)
        return by_backbone

    def _axes(self, results: dict[str, Any], maps: Maps, n_views: int) -> tuple[Axis, Axis] | None:
        if self.cells is None:
            return None
        height, width = next(iter(maps.values()))[-1].shape[2:]
        return axes_of(results, self.blank.neck.geometry, (height // n_views, width), *self.cells)

    def _through_necks(self, maps: list[Maps]) -> list[tuple[NDArray, NDArray | None]]:
        """Maps of n images -> logits (members, tasks), attention (h, w) of each.

        A batch of one is doubled: a matrix of one row takes another path through the linear algebra, and
        the last bit of a logit differs from that of every larger batch, which a fused model may magnify.
        """
        batch = maps * 2 if len(maps) == 1 else maps
        logits, attention = [], []
        for member in self.ensemble.members:
            of_images = [by_backbone[id(member.backbone)] for by_backbone in batch]
            feats, looked = self._through_neck(member, tuple(map(torch.cat, zip(*of_images, strict=True))))
            logits.append(torch.stack([z.float() for z in member.head(feats).values()], dim=1))
            attention += [] if looked is None else [looked]
        z = torch.stack(logits, dim=1).cpu().numpy()  # (n, members, tasks)
        mean = torch.stack(attention).mean(0).cpu().numpy() if attention else [None] * len(batch)
        return list(zip(z, mean, strict=True))[: len(maps)]

    def _through_neck(
        self, member: Any, maps: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Output of the neck; where its last block looks, mean over heads: (B, C, H, W) -> (B, h, w)."""
        neck = member.neck if member.with_neck else nn.Identity()
        if not self.attends:
            return neck(maps), None
        kept: list[tuple[Tensor, ...]] = []
        hook = neck.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
        try:
            looked = attention_maps(neck, maps)  # (B, depth, heads, h, w)
        finally:
            hook.remove()
        return kept[0], looked[:, -1].mean(1)


def probs_of(logits: NDArray, kinds: Iterable[str]) -> NDArray[np.float32]:
    """Logits (..., tasks) -> prob of binary tasks, value of regression tasks (..., tasks)."""
    binary = torch.tensor([kind == 'binary' for kind in kinds])
    z = torch.from_numpy(logits)
    return torch.where(binary, z.sigmoid(), z).numpy()


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
