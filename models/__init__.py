"""Networks, heads and losses; importing this package registers them with mmpretrain."""

from models.quiet import mmpretrain  # isort: split

from models.backbones.resnet_ws import ResNetWs
from models.backbones.timm_backbone import TIMMBackbone
from models.classifier import ImageTabClassifier
from models.heads.kinds import BinaryTaskHead, RegressionTaskHead, SingleLinearClsHead
from models.heads.losses import MSELoss
from models.heads.multi_task_head import MultiTaskHead
from models.necks.dwise_neck import DwiseConvResBlockPooling
from models.necks.fitting import GlobalAveragePooling
from models.necks.pooling_necks import (
    AttentionPoolingNeck,
    MeanTokenTransformerNeck,
    StandardisedPoolingNeck,
)
from models.necks.transformer_neck import TransformerNeck
from models.necks.view_neck import MultiViewTransformerNeck
from models.preprocessor import ClsDataPreprocessor, SelfSupDataPreprocessor
from models.selfsup import CosineSimilarityLoss, LatentCrossCorrelationHead, SwAVLoss
