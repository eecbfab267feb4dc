"""Making of bundles from trained models."""

from mammo.inference.making.files import bundle_files
from mammo.inference.making.sources import Trained, from_checkpoint, from_cross_validation
