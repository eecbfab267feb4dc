"""Stand-ins of sbatch and squeue: the tasks of an array run here, one after the other, in the background."""

from pathlib import Path

SBATCH = """#!/usr/bin/env bash
printf '%s\\n' "$@" >> {folder}/sbatch.txt
for word in "$@"; do
  case $word in --array=*) array=${{word#*=}};; --job-name=*) name=${{word#*=}};; esac; last=$word
done
[ -z "${{REFUSE:-}}" ] || {{ echo 'Invalid partition' >&2; exit 1; }}
echo "$name" > {folder}/queue
tasks=$(echo ${{array%%%*}} | tr , ' ')
( for i in $tasks; do SLURM_ARRAY_TASK_ID=$i bash $last; done; rm {folder}/queue ) > {folder}/tasks.txt 2>&1 &
echo '77;cluster'
"""
SQUEUE = """#!/usr/bin/env bash
for word in "$@"; do case $word in --name=*) name=${{word#*=}};; --me) me=1;; esac; done
[ ! -f {folder}/queue ] || {{ [ "$(cat {folder}/queue)$me" != "${{name}}1" ] || echo 77 RUNNING; exit; }}
echo 'slurm_load_jobs error: Invalid job id specified' >&2
exit 1
"""


def write_stand_ins(folder: Path) -> Path:
    """Write them below ``folder``, where sbatch.txt will hold their arguments -> what belongs on PATH."""
    (folder / 'bin').mkdir()
    for name, text in dict(sbatch=SBATCH, squeue=SQUEUE).items():
        (folder / 'bin' / name).write_text(text.format(folder=folder))
        (folder / 'bin' / name).chmod(0o755)
    return folder / 'bin'
