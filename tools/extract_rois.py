# PYTHON_ARGCOMPLETE_OK
"""ROIs around given boxes or centres, and 'path label' lists for the ROI evaluation.

META, boxes table -> OUT/{png/, meta.json, skipped.csv}; with --task also OUT/<meta name>_<task>.txt
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.errors import Exit
from mammo.terminal import made


@command(go_on='--resume goes on from here')
def main() -> int:
    """Cut ROIs if there are boxes, write the list if there is a task; exit 1 if nothing came out."""
    parser = tool_parser(__doc__, 'python tools/extract_rois.py meta.json --boxes boxes.csv --out-dir rois')
    add = parser.add_argument
    add('meta', type=Path, help='meta file of the images')
    add('--boxes', type=Path, help='table: img_path or source, and x0,y0,x1,y1 or x,y in its pixels')
    add('--out-dir', type=Path, required=True, help='folder of the ROIs and lists')
    add('--data-root', type=Path, help='folder of img_path; without it that of META')
    add('--size', type=int, default=500, help='side of a ROI in pixels')
    add('--task', help='also write "path label" lines for this task')
    add('--resume', action='store_true', help='go on with the run that OUT holds, or add a list to it')
    add('--fresh', action='store_true', help='remove what the run in OUT made, and start anew')
    args = parser.parse_args()

    from mammo.crops.roi_run import write_rois

    meta, folder = vars(args).pop('meta'), vars(args).pop('out_dir')
    n_made, sentence = write_rois(meta, folder, **vars(args))
    print(sentence)
    made(folder, 'tools/split.py', folder / 'meta.json')
    return Exit.DONE if n_made else Exit.NOTHING_MADE


if __name__ == '__main__':
    main()
