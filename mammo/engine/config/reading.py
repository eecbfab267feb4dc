"""Configs that do what they say: what would have no effect is refused.

config file, ``key=value`` texts -> Config
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger

from mammo.engine.config.keys import ConfigError, refuse_unknown
from mammo.engine.config.variables import copies, refuse_dead_variables
from mammo.engine.log import use_terminal, warn

BLANK = '\0'  # stands for a blank, which mmengine's parser takes out


def read_config(path: str | Path) -> Config:
    """A config file, with what it names imported, and its preprocessor in the model, however published it is.

    Raises:
        ConfigError: there is no such file, it cannot be read, or it sets a variable that nothing reads.
    """
    use_terminal(MMLogger.get_current_instance())  # until a run has a logger of its own
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f'{path}: no such config')
    try:
        cfg = Config.fromfile(str(path))
    except Exception as error:  # of any kind: a config is code
        raise ConfigError(f'{path}: cannot be read as a config: {type(error).__name__}: {error}') from error
    refuse_dead_variables(path, cfg)
    if cfg.get('model') and 'data_preprocessor' in cfg:  # where published configs have it
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    return cfg


def set_options(cfg: Config, texts: Sequence[str] | None) -> None:
    """Replace settings of a config by ``key=value`` texts.

    Values are read as mmengine reads them, but keep their blanks. A variable at the top level that was
    copied while the config was read reaches its copies.

    Raises:
        ConfigError: no such key, and it does not begin with +; or setting it would have no effect.
    """
    options: dict[str, Any] = {}
    for text in texts or ():
        key, equals, value = text.partition('=')
        is_new, key = key.startswith('+'), key.removeprefix('+').strip()
        if not (key and equals):
            raise ConfigError(f'--cfg-options {text}: expected KEY=VALUE')
        if not is_new:
            refuse_unknown(cfg, key)
        parsed = _parse(value)
        if options.get(key, parsed) != parsed:
            warn(f'--cfg-options {key} is given twice; {parsed} is taken, not {options[key]}')
        options |= dict.fromkeys([key, *copies(cfg, key), *_of_model(cfg, key)], parsed)
    try:
        cfg.merge_from_dict(options)
    except (TypeError, KeyError, AssertionError) as error:
        raise ConfigError(f'--cfg-options {" ".join(texts or ())}: {error}') from None


def _of_model(cfg: Config, key: str) -> list[str]:
    """Where the model has the preprocessor that the top level of a published config gives it."""
    shared = cfg.get('model') and cfg.model.get('data_preprocessor') == cfg.get('data_preprocessor')
    return [f'model.{key}'] if shared and key.partition('.')[0] == 'data_preprocessor' else []


def _parse(text: str) -> Any:
    """``'1, 2'`` -> ``[1, 2]``, ``'my study'`` as it is."""
    text = text.strip()
    if '/' in text and Path(text).exists():  # whatever commas and brackets are in it
        return text
    if text.startswith(('[', '(')):
        text = re.sub(r'\s*([][(),])\s*', r'\1', text)
    try:
        return _with_blanks(DictAction._parse_iterable(text.replace(' ', BLANK)))
    except AssertionError as error:
        raise ConfigError(f'--cfg-options {text}: {error}') from None


def _with_blanks(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_with_blanks(child) for child in value)
    if not (isinstance(value, str) and BLANK in value):
        return value
    return DictAction._parse_int_float_bool(value.replace(BLANK, ' ').strip())
