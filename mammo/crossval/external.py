"""External sets of a cross-validation: where their images lie, and what is done with each.

NAME=META texts -> Site by name -> plain values for the specs of the folds
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mammo.crossval.folds import Part, read_part
from mammo.crossval.jobs.state import FINISHED, read_json
from mammo.errors import DataError
from mammo.records.meta import read_meta


class Site(NamedTuple):
    """An external set."""

    meta: Path
    part: Part


def read_sites(texts: Sequence[str], images: str) -> dict[str, Site]:
    """External sets by name, with images beside their meta file or in the folder of the config's.

    Raises:
        DataError: a name is there twice, or cannot name files.
    """
    sites: dict[str, Site] = {}
    for text in texts:
        name, _, path = text.rpartition('=')
        name = name or Path(path).stem
        if name in sites or not name.replace('_', '').replace('-', '').isalnum():
            raise DataError(
                f'--external {text}: name {name!r} is taken or not of letters, digits, - and _; give another '
                'as NAME=META'
            )
        sites[name] = Site(Path(path), read_part(Path(path), _data_root(Path(path)) or images))
    return sites


def described(
    sites: dict[str, Site], *, together: bool, fusable: frozenset[str], label: str
) -> dict[str, dict[str, Any]]:
    """What is done with each external set, as plain values.

    Args:
        together: one job scores it by all models, which share a backbone.
        fusable: patients with clinical values.
        label: task of the fusion.
    """
    return {
        name: dict(
            meta=str(meta.resolve()), data_root=_data_root(meta), together=together,
            fusion=bool(fusable & part.patients) and label in part.labelled,
        )
        for name, (meta, part) in sites.items()
    }  # fmt: skip


def together_spec(name: str, spec: dict[str, Any], out_dir: Path, folders: Sequence[Path]) -> dict[str, Any]:
    """The job that scores an external set by the models of all ``folders`` at once; ``spec`` is of a fold."""
    checkpoints = {
        str(folder / f'predictions_external_{name}.json'): str(
            folder / read_json(folder / FINISHED)['checkpoint']
        )
        for folder in folders
    }
    of_job = dict(name=f'external {name}', folder=str(out_dir), site=spec['external'][name], wanted=[])
    return spec | of_job | dict(checkpoints=checkpoints)


def _data_root(meta: Path) -> str | None:
    """The folder of an external set if its images lie there; None if they lie in the config's data_root."""
    items = read_meta(meta)['data_list']
    is_beside = items and (meta.parent / items[0]['img_path']).is_file()
    return str(meta.parent.resolve()) if is_beside else None
