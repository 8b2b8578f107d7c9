#!/usr/bin/env bash
# A real SLURM cluster of one node on this machine, to rehearse on: `cluster.sh start`, `cluster.sh stop`.
#
# Debian's own packages, as root, without systemd, on loopback: a `cpu` and a `gpu` partition, and two GPUs that are
# declared over device files which any machine has. Jobs see them in GPU_DEVICE_ORDINAL; CUDA_VISIBLE_DEVICES is empty,
# so that models run on the CPU. There is no accounting; `sacct`, which could then only fail, is put out of the way.
# `stop` ends and undoes what `start` did.
set -euo pipefail

ETC=/etc/slurm       # anywhere else every job fails: the job step of the plugin drops SLURM_CONF
STATE=/var/lib/slurm-rehearsal
NODE=$(hostname -s)
CPUS=${CPUS:-8}      # declared, not counted: jobs share what there is
MEMORY=${MEMORY:-65536}

fail() { echo "cluster: error: $*" >&2; exit 2; }
alive() { grep -Eq "^[^Z]\S* +($1)$"; }  # among lines of `ps -o stat=,comm=`
# By name, too: after a crash the number may be another process's.
running() { ps -o stat=,comm= -p "$(cat "$STATE/$1.pid" 2> /dev/null)" 2> /dev/null | alive "$1"; }
ours() { test -e "$STATE/ours"; }
foreign() {
    ours && return 1
    [[ -n "${SLURM_CONF:-}" || -e $ETC/slurm.conf || -e $ETC/gres.conf ]] ||
        ps -e -o stat=,comm= | alive "slurmctld|slurmd"
}

packages() {
    local missing=()
    type -P slurmctld > /dev/null || missing+=(slurmctld)
    type -P slurmd > /dev/null || missing+=(slurmd)
    type -P squeue > /dev/null || missing+=(slurm-client)
    type -P munged > /dev/null || missing+=(munge)
    ((${#missing[@]})) || return 0
    type -P apt-get > /dev/null || fail "no ${missing[*]}; on a system without apt-get install these first"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq > /dev/null
    apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
}

configure() {
    mkdir -p "$STATE"/{ctld,spool} "$ETC"
    touch "$STATE/ours"
    install -m 755 /dev/stdin "$STATE/prolog" <<< $'#!/bin/sh\necho export CUDA_VISIBLE_DEVICES='
    cat > "$ETC/slurm.conf" << CONF
# Made by tests/slurm/cluster.sh; removed by its stop.
ClusterName=rehearsal
SlurmctldHost=$NODE(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=15
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$STATE/ctld
SlurmdSpoolDir=$STATE/spool
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
SlurmctldLogFile=$STATE/slurmctld.log
SlurmdLogFile=$STATE/slurmd.log
SlurmctldDebug=info
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog=$STATE/prolog
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=5,bf_interval=5
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
KillWait=5
SlurmdTimeout=30
GresTypes=gpu
NodeName=$NODE NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=$MEMORY Gres=gpu:h200:2 State=UNKNOWN
PartitionName=cpu Nodes=$NODE Default=YES MaxTime=1-00:00:00 State=UP
PartitionName=gpu Nodes=$NODE MaxTime=1-00:00:00 State=UP
CONF
    cat > "$ETC/gres.conf" << CONF
# Made by tests/slurm/cluster.sh; removed by its stop.
AutoDetect=off
Name=gpu Type=h200 File=/dev/null
Name=gpu Type=h200 File=/dev/zero
CONF
}

# Each daemon alone, so that a test can end one and bring it back.
munge() {
    command munge --no-input > /dev/null 2>&1 && return  # as where systemd has started it with the package
    install -d -o munge -g munge -m 755 /run/munge
    runuser -u munge -- munged --pid-file=/run/munge/rehearsal.pid
    ln -sf /run/munge/rehearsal.pid "$STATE/munged.pid"
}
slurmctld() { running slurmctld || command slurmctld; }
slurmd() { running slurmd || command slurmd; }

await() {
    for _ in $(seq 100); do
        "$@" && return
        sleep 0.2
    done
    fail "not in 20 s: $*; see $STATE/slurmctld.log and $STATE/slurmd.log"
}
idle() { [[ $(sinfo --noheader --Node --partition cpu --format %t 2> /dev/null) =~ ^(idle|mix|alloc) ]]; }
gone() { ! running "$1"; }

end() {
    running "$1" || return 0
    kill "$(cat "$STATE/$1.pid")"
    await gone "$1"
}

start() {
    ((EUID == 0)) || fail "found user $(id -un); only root can start a cluster"
    ! foreign || fail "$ETC, SLURM_CONF or a daemon: there is a cluster here that this script did not make"
    packages
    configure
    dpkg-divert --quiet --local --rename --divert /usr/bin/sacct.away --add /usr/bin/sacct
    munge
    slurmctld
    slurmd
    await idle
    sinfo
}

stop() {
    ours || { echo "cluster: nothing of ours is running"; return; }
    if running slurmctld; then
        scancel --quiet --user root || true
        (await none_running) || true
    fi
    for daemon in slurmd slurmctld munged; do
        (end "$daemon") || true
    done
    rm -f "$ETC/slurm.conf" "$ETC/gres.conf"
    dpkg-divert --quiet --local --rename --remove /usr/bin/sacct
    rm -rf "$STATE"
}
none_running() { test -z "$(squeue --noheader 2> /dev/null)"; }

case "${1:-}" in
    start | stop | slurmctld | slurmd) "$1" ;;
    end) end "${2:?slurmctld or slurmd}" ;;
    *) fail "found '${1:-}'; start, stop, slurmctld, slurmd, or end DAEMON would do" ;;
esac
