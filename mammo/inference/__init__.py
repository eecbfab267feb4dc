"""One exam in, one answer out: models that have left the folder they were trained in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mammo.inference.predictor import Predictor

__all__ = ['Predictor']


def __getattr__(name: str) -> Any:
    """``from mammo.inference import Predictor``, without torch for those who do not ask for it."""
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from mammo.inference.predictor import Predictor

    return Predictor
