"""Losses of self-supervised pretraining, right on several processes and in mixed precision.

The algorithms are the stock ones (BarlowTwins, BYOL, SwAV); their configs name what is registered here.
"""

from models.selfsup.barlowtwins import LatentCrossCorrelationHead
from models.selfsup.byol import CosineSimilarityLoss
from models.selfsup.swav import SwAVLoss
