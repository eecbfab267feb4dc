"""A training image that does not decode is replaced by another; too many of them stop the run.

dataset class -> dataset class with that behaviour in training; in tests a damaged image is an error
"""

from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger

from mammo.engine.log import warn
from mammo.errors import listed
from mammo.records.storage.png import ImageFileError

MAX_DAMAGED_FRAC = 0.01  # of the images of a dataset; one damaged image is always allowed


class ReplaceDamagedMixin:
    """Goes before the dataset class in the list of bases.

    ``damaged`` holds a byte per image, 1 once it failed to decode. It lies in shared memory, so that
    it counts each image once over all workers (forked or spawned) and epochs. ``DataCheckHook`` joins
    those of several training processes between epochs; until then each process counts its own. A
    resumed run counts anew. (mmengine's ``max_refetch`` draws from the generators of the augmentation, counts
    nothing, and so would go on training on whatever a lost disk has left.)
    """

    test_mode: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        n_images = 0 if self.test_mode else len(self)  # type: ignore[arg-type]
        self.damaged = torch.zeros(n_images, dtype=torch.uint8).share_memory_()

    def prepare_data(self, idx: int) -> Any:
        """The sample of an image, or of another drawn by its number if it cannot be decoded.

        The draw depends on ``idx`` alone, not on workers, and takes no number from the generators that
        augmentation uses: the other samples of the epoch are those of a run without damage.

        Raises:
            ImageFileError: too many images are damaged.
        """
        if self.test_mode:
            return super().prepare_data(idx)  # type: ignore[misc]
        rng = None
        while True:
            try:
                return super().prepare_data(idx)  # type: ignore[misc]
            except ImageFileError as error:
                if not self.damaged[idx]:
                    self.damaged[idx] = 1
                    warn(f'replaced by another image: {error}')
                self.check_damaged()
                rng = rng or np.random.default_rng(idx)
                idx = int(rng.integers(len(self)))  # type: ignore[arg-type]

    def check_damaged(self) -> int:
        """Number of images found damaged so far.

        Raises:
            ImageFileError: it is above the limit; lists their paths.
        """
        found = self.damaged.clone()  # other workers write to it while it is looked through
        places, n_images = found.nonzero()[:, 0].tolist(), len(found)
        if len(places) > max(1, MAX_DAMAGED_FRAC * n_images) or 0 < n_images == len(places):
            paths = [self.get_data_info(i)['img_path'] for i in places]  # type: ignore[attr-defined]
            message = (
                f'{len(paths)} of {n_images} training images do not decode, {MAX_DAMAGED_FRAC:.0%} may: '
                'see whether the disk is still there, mend or remove them: '
            )
            # this level from every process; the terminal has the line that ends the run
            MMLogger.get_current_instance().error(message + ', '.join(paths), extra=dict(for_log_file=True))
            raise ImageFileError(message + listed(paths))
        return len(places)
