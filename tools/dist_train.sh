#!/usr/bin/env bash
# Train with several processes on this machine, or as one node of several:
#   [NNODES=2 NODE_RANK=0 MASTER_ADDR=host PORT=29500] bash tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
set -euo pipefail
root=$(dirname "${BASH_SOURCE[0]}")/..
config=${1:?usage: dist_train.sh CONFIG PROCESSES [options]} processes=${2:?usage: dist_train.sh CONFIG PROCESSES [options]}
if [ "${NNODES:-1}" = 1 ] && [ -z "${PORT:-}" ]; then
    rendezvous=(--standalone)
else
    rendezvous=(--nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}")
fi
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" python -m torch.distributed.run "${rendezvous[@]}" --nproc_per_node "$processes" \
    "$root/tools/train.py" "$config" --launcher pytorch "${@:3}"
