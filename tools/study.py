# PYTHON_ARGCOMPLETE_OK
"""Take a study file through all stages: preprocess, split, pretrain, cross-validate, bundle.

study.yaml -> OUT/{data/, cv/, bundle/, study.json}; run it again to go on

The file names data, labels, tasks, variables, folds, config, seeds and out; see docs/study.md.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.errors import Exit
from mammo.terminal import made


@command(go_on='the same command goes on from here')
def main() -> int:
    """Run the commands, or print them; the exit code is that of the one that failed."""
    parser = tool_parser(__doc__, 'python tools/study.py run study.yaml --dry-run')
    parser.add_argument('action', choices=['run'], help='what to do with the study')
    parser.add_argument('study', type=Path, help='study file, YAML')
    parser.add_argument('--dry-run', action='store_true', help='check the file, print the commands, run none')
    args = parser.parse_args()

    from mammo.study.form import read_study
    from mammo.study.run import run_study
    from mammo.study.stages import command_line, refuse_unknown_options, steps

    study = read_study(args.study)
    refuse_unknown_options(args.study, study)
    if args.dry_run:
        print('\n'.join(command_line(step) for step in steps(study)))
        return Exit.DONE
    code = run_study(study)
    if code == Exit.DONE:
        made(study.out, 'tools/serve.py', '--bundle', study.out / 'bundle')
    return code


if __name__ == '__main__':
    main()
