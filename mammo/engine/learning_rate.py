"""The learning rate of a batch size other than the one that a config was written for.

optimizer wrapper; processes, images per batch -> the wrapper with its learning rates scaled
"""

from mmengine.optim import OptimWrapper

from mammo.engine.log import tell


def scale_lr(wrapper: OptimWrapper, processes: int, batch_size: int, base_batch_size: int) -> None:
    """Scale in place by the images of one optimizer step over ``base_batch_size``; a log line says so.

    NOTE[DIFF]: mmengine leaves out ``accumulative_counts``.

    Args:
        batch_size: images per batch of one process.
    """
    counts = wrapper._accumulative_counts
    images = processes * batch_size * counts
    ratio = images / base_batch_size
    before = sorted({group['lr'] for group in wrapper.optimizer.param_groups})
    for group in wrapper.optimizer.param_groups:
        group['lr'] *= ratio
    tell(
        f'learning rate {", ".join(f"{lr:g}" for lr in before)} scaled by {ratio:g}: {images} images '
        f'per step ({processes} processes x {batch_size} x {counts} accumulated) instead of {base_batch_size}'
    )
