"""Hook of mkdocs: two packages that the theme's scripts would load from elsewhere are not asked for.

built site -> its scripts, with an empty script in the place of each address
"""

import re
from pathlib import Path
from typing import Any

# a polyfill of old browsers, and diagrams, which no page has
PACKAGES = re.compile(r'https://unpkg\.com/[\w@./-]+')
NOTHING = 'data:,'


def on_post_build(config: Any, **_: Any) -> None:
    """Called by mkdocs at the end of a build."""
    for path in Path(config.site_dir).rglob('*.js*'):  # and their maps
        text = path.read_text('utf-8')
        if PACKAGES.search(text):
            path.write_text(PACKAGES.sub(NOTHING, text), 'utf-8')
