"""Networks, heads and losses; importing this package registers them with mmpretrain."""

from models.backbone import ResNetWs
from models.classifier import ImageTabClassifier
from models.dwise_neck import DwiseConvResBlockPooling
from models.heads import BinaryTaskHead, MultiTaskHead, RegressionTaskHead, SingleLinearClsHead
from models.losses import MSELoss
from models.transformer_neck import TransformerNeck

__all__ = [
    'BinaryTaskHead',
    'DwiseConvResBlockPooling',
    'ImageTabClassifier',
    'MSELoss',
    'MultiTaskHead',
    'RegressionTaskHead',
    'ResNetWs',
    'SingleLinearClsHead',
    'TransformerNeck',
]
