"""Reports whose unit is the breast: sentences speak of patients, and what leaves speaks of breasts.

text, unit -> text
"""

import re

# not within names and paths; a topic of the reporting checklist keeps its name
WORD = re.compile(r'(?<![\w./-])([Pp])atient(s?)(?![\w/-]|\.\w| and public involvement)')
TAGS = re.compile(r'(<style.*?</style>|<script.*?</script>|<code.*?</code>|<[^>]*>)', re.DOTALL)
LETTERS = dict(p='b', P='B')


def in_words_of(unit: str, text: str) -> str:
    """``patients`` becomes ``breasts`` where these are counted, and stays otherwise."""
    if unit == 'patient':
        return text
    return WORD.sub(lambda match: f'{LETTERS[match[1]]}reast{match[2]}', text)


def html_in_words_of(unit: str, html: str) -> str:
    """The same of what a page shows, not of its tags, nor of the files that it names, in ``<code>``."""
    parts = TAGS.split(html)
    parts[::2] = (in_words_of(unit, text) for text in parts[::2])
    return ''.join(parts)
