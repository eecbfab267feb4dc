"""Networks, heads and losses; importing this package registers them with mmpretrain."""

from models.quiet import mmpretrain  # isort: split

from models.backbone import ResNetWs
from models.classifier import ImageTabClassifier
from models.dwise_neck import DwiseConvResBlockPooling
from models.heads import BinaryTaskHead, RegressionTaskHead, SingleLinearClsHead
from models.losses import MSELoss
from models.multi_task_head import MultiTaskHead
from models.necks import GlobalAveragePooling
from models.pooling_necks import AttentionPoolingNeck, MeanTokenTransformerNeck
from models.preprocessor import ClsDataPreprocessor, SelfSupDataPreprocessor
from models.selfsup import CosineSimilarityLoss, LatentCrossCorrelationHead, SwAVLoss
from models.transformer_neck import TransformerNeck
from models.view_neck import MultiViewTransformerNeck

__all__ = [
    'AttentionPoolingNeck',
    'BinaryTaskHead',
    'ClsDataPreprocessor',
    'CosineSimilarityLoss',
    'DwiseConvResBlockPooling',
    'GlobalAveragePooling',
    'ImageTabClassifier',
    'LatentCrossCorrelationHead',
    'MSELoss',
    'MeanTokenTransformerNeck',
    'MultiTaskHead',
    'MultiViewTransformerNeck',
    'RegressionTaskHead',
    'ResNetWs',
    'SelfSupDataPreprocessor',
    'SingleLinearClsHead',
    'SwAVLoss',
    'TransformerNeck',
    'mmpretrain',
]
