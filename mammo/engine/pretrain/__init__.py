"""What pretraining needs of a run: batches that suffice, and SwAV's queue."""

from mammo.engine.pretrain.batches import check_batches
from mammo.engine.pretrain.swav_queue import SwAVHook
