# What slurm_train.sh and slurm_test.sh ask of srun, as the array `request`; they source this file with $partition and
# $job_name set. One task per GPU; with GPUS=0, TASKS tasks on CPU.
gpus=${GPUS:-8} cpus=${CPUS_PER_TASK:-5}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
request=(-p "$partition" --job-name="$job_name" --cpus-per-task="$cpus" --kill-on-bad-exit=1)
if [ "$gpus" -gt 0 ]; then
    request+=("--ntasks=$gpus" "--ntasks-per-node=$gpus_per_node" "--gres=gpu:$gpus_per_node")
    together=$gpus_per_node
else
    request+=("--ntasks=${TASKS:-1}")
    together=1
fi
# srun waits for ever for what no node has
most=$(sinfo --noheader --Node --partition="$partition" --format=%c 2> /dev/null | sort -n | tail -n 1) || most=
if [[ $most =~ ^[0-9]+$ ]] && [ $((cpus * together)) -gt "$most" ]; then
    echo "CPUS_PER_TASK=$cpus for $together task(s) on a node: partition '$partition' has at most $most CPUs on a node;" \
        "set CPUS_PER_TASK to at most $((most / together)), or GPUS_PER_NODE to fewer" >&2
    exit 2
fi
