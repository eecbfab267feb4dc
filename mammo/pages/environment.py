"""How templates become pages, the same everywhere: escaped, and never silent about a name that is missing.

folder of templates -> jinja2.Environment; content -> address that a page holds itself
"""

import base64
from pathlib import Path

import jinja2


def environment(folder: Path) -> jinja2.Environment:
    """Templates of a folder; every text that comes from outside is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def data_uri(content: bytes | str, kind: str) -> str:
    """Content as an address that a page holds itself; ``kind`` is a media type such as ``image/png``."""
    raw = content.encode() if isinstance(content, str) else content
    return f'data:{kind};base64,{base64.b64encode(raw).decode()}'
