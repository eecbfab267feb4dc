"""Several trained models as one: members with equal backbones share its pass over the images.

ImageTabClassifiers of one config, a batch -> predictions of every member
"""

import copy

import torch
from mmpretrain.structures import MultiTaskDataSample
from torch import Tensor, nn

from models.classifier import ImageTabClassifier


class Ensemble:
    """Members side by side; each distinct backbone runs once per batch, each neck and head always.

    Example:
        >>> backbone = dict(type='ResNetWs', depth=50, stem_channels=8, base_channels=8)
        >>> tasks, neck = [dict(name='N', kind='binary')], dict(type='GlobalAveragePooling')
        >>> head = dict(type='SingleLinearClsHead', in_channels=128)
        >>> model = ImageTabClassifier(backbone, neck, head).eval()
        >>> ensemble = Ensemble()
        >>> for _ in range(3):
        ...     ensemble.add(model)
        >>> ensemble.num_backbones, len(ensemble.predict(torch.zeros(1, 3, 64, 64), [MultiTaskDataSample()]))
        (1, 3)
    """

    def __init__(self) -> None:
        self.members: list[ImageTabClassifier] = []

    def add(self, model: ImageTabClassifier) -> None:
        """Take a copy of a model as the next member."""
        member = copy.deepcopy(model).eval()
        for other in self.members:
            if equal_weights(member.backbone, other.backbone):
                member.backbone, member.folded = other.backbone, other.folded
                break
        self.members.append(member)

    @property
    def num_backbones(self) -> int:
        """Distinct backbones among the members, each of which runs once per image."""
        return len({id(member.backbone) for member in self.members})

    @torch.inference_mode()
    def predict(
        self, inputs: Tensor, data_samples: list[MultiTaskDataSample]
    ) -> list[list[MultiTaskDataSample]]:
        """Preprocessed images (B, C, H, W), their samples -> predicted samples per member and image."""
        maps: dict[int, tuple[Tensor, ...]] = {}
        predicted = []
        for member in self.members:
            key = id(member.backbone)
            if key not in maps:
                maps[key] = member.maps(inputs)
            feats = member.neck(maps[key]) if member.with_neck else maps[key]
            predicted.append(member.head.predict(feats, copy.deepcopy(data_samples)))
        return predicted


def equal_weights(module: nn.Module, other: nn.Module) -> bool:
    """Whether two modules of one structure hold equal numbers; counts of training batches aside."""
    pairs = zip(module.state_dict().items(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for (key, a), b in pairs if not key.endswith('num_batches_tracked'))
