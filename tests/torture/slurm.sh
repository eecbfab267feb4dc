#!/usr/bin/env bash
# A SLURM of one node with two CPUs, of ordinary processes of this user, for tests (Debian: slurm-wlm, munge):
#   bash tests/torture/slurm.sh start FOLDER   prints the value for SLURM_CONF
#   bash tests/torture/slurm.sh stop FOLDER    ends it and its jobs
# FOLDER (absolute, best new and empty) holds everything: keys, configuration, states, logs. Nothing leaves this machine.
set -euo pipefail
usage='usage: slurm.sh start|stop FOLDER'
action=${1:?$usage} folder=${2:?$usage}
export SLURM_CONF=$folder/slurm.conf PATH=$PATH:/usr/sbin:/sbin
node=$(hostname -s)

free_ports() {
    python3 -c 'import socket
sockets = [socket.socket() for _ in range(2)]
[s.bind(("127.0.0.1", 0)) for s in sockets]
print(*(s.getsockname()[1] for s in sockets))'
}

write_configuration() {
    local controller_port node_port
    read -r controller_port node_port < <(free_ports)
    cat > "$SLURM_CONF" <<CONF
ClusterName=toy
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$controller_port
SlurmdPort=$node_port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=2,batch_sched_delay=0,requeue_delay=1
ReturnToService=1
KillWait=20
OverTimeLimit=0
SlurmdTimeout=10
NodeName=$node NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=cpu Nodes=$node Default=YES MaxTime=60 State=UP
CONF
}

start() {
    mkdir -p "$folder/state" "$folder/spool"
    chmod 755 "$folder"
    head -c 128 /dev/urandom > "$folder/munge.key"
    chmod 600 "$folder/munge.key"
    write_configuration
    munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munge.pid" \
        --log-file="$folder/munge.log" --seed-file="$folder/munge.seed"
    slurmctld -c
    slurmd -c
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --format=%T 2> /dev/null)" != idle ] || { echo "$SLURM_CONF"; return; }
        sleep 0.5
    done
    echo "no idle node after 30 s, see $folder/*.log" >&2
    stop
    return 1
}

stop() {
    scancel --user="$(id -un)" --signal=KILL --full 2> /dev/null || true
    local daemon pid
    for daemon in slurmd slurmctld munge; do
        pid=$(cat "$folder/$daemon.pid" 2> /dev/null) || continue
        kill "$pid" 2> /dev/null || true
        for _ in $(seq 100); do
            kill -0 "$pid" 2> /dev/null || break
            sleep 0.1
        done
    done
}

case $action in
start) start ;;
stop) stop ;;
*) echo "$usage" >&2; exit 2 ;;
esac
