"""mmpretrain, imported without its words about parts that are not installed, which a user cannot act on.

import of this module, before any other of mmpretrain -> mmpretrain.datasets and mmpretrain.models
"""

import contextlib
import io
import warnings

with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter('ignore')
    import mmpretrain.datasets
    import mmpretrain.models

__all__ = ['mmpretrain']
