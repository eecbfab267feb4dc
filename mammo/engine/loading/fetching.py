"""Checkpoints at http(s) addresses: fetched once per machine, and again if what was fetched is damaged.

address -> file in torch's cache
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import torch
from mmengine.dist import all_gather_object

from mammo.engine.log import tell
from mammo.records.storage.files import sha256_of, sha256_of_bytes
from mammo.records.storage.pickles import NO_WEIGHTS, CheckpointError, text_start


def fetch(url: str, place: str = '') -> Path:
    """Download a checkpoint into torch's cache, once per machine; all processes must ask.

    Args:
        url: http(s) address.
        place: where a config names it, as ``model.backbone.init_cfg.checkpoint``; empty: nowhere.

    Raises:
        CheckpointError: one of the machines has no network, no room, or got something else.
    """
    target, digest = cached(url)
    problem = ''
    if os.environ.get('LOCAL_RANK', '0') == '0':
        damage = _damage(target, digest)
        try:
            if damage or not target.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                tell(f'{place or "checkpoint"}: {damage}fetching {url}')
                torch.hub.download_url_to_file(url, str(target), digest or None, progress=False)
                if text := text_start(target):
                    target.unlink()
                    raise OSError(NO_WEIGHTS.format(text))
        except (OSError, RuntimeError) as error:
            init_cfg = place.removesuffix('.checkpoint')
            without = f', or start without it with --cfg-options {init_cfg}=None, unfrozen' if place else ''
            problem = (
                f'{place or "checkpoint"}: {damage}could not fetch {url} ({error}). '
                f'Fetch it by hand and save it as {target}{without}'
            )
    if problems := [text for text in all_gather_object(problem) if text]:
        raise CheckpointError(problems[0])
    return target


def _damage(target: Path, digest: str) -> str:
    """What is wrong with a file that is there already, as the start of a sentence; '' if nothing is."""
    if text := text_start(target):
        return f'{target} holds {NO_WEIGHTS.format(text)}; '
    if not target.is_file() or sha256_of(target).startswith(digest):
        return ''
    return f'{target} is damaged: its SHA-256 does not start with {digest}, as that of the original does; '


def cached(url: str) -> tuple[Path, str]:
    """Where an address is kept, and the start of its SHA-256 as torch's names give it; '' if not given."""
    name = Path(urlsplit(url).path).name
    digest = re.search(r'-([0-9a-f]{8,})\.pth$', name)
    if not digest:  # another address may have a file of this name
        name = f'{sha256_of_bytes(url.encode())[:8]}_{name}'
    return Path(torch.hub.get_dir()) / 'checkpoints' / name, digest[1] if digest else ''
