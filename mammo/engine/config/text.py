"""The text of a config, which goes into every checkpoint, is formatted once.

Config -> Config whose pretty_text is kept until the config changes
"""

from mmengine.config import Config

_texts: dict[str, str] = {}  # of the configs of this process, by their content


class ConfigFormattedOnce(Config):
    """Config that remembers its text: yapf takes seconds, and a run saves twice per epoch."""

    @property
    def pretty_text(self) -> str:
        """The config as Python code; formatted again only if it has changed."""
        content = repr(self._cfg_dict)
        if content not in _texts:
            _texts[content] = super().pretty_text
        return _texts[content]


def format_once(cfg: Config) -> None:
    """Make a config one that is formatted once; copies of it are, too."""
    object.__setattr__(cfg, '__class__', ConfigFormattedOnce)  # Config's own would set a key of the config
