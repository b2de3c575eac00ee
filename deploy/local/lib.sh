#!/bin/bash
# Real servers on loopback: install, start, await, stop. Sourced by deploy/local/{up,status,down},
# tests/run and .ci/run; as a program it runs one function: lib.sh mariadb_start DIR PORT.
#
# An instance is a folder and its port(s): <name>_start DIR PORT..., <name>_stop DIR. Its pid, log,
# configuration and data all live in DIR, so the same functions serve the demo and any test.
# What instances share (jars, template data folders) is in $LUTRA_LOCAL_CACHE. The local stack, one
# fixed set of instances with our services, lives in $LUTRA_LOCAL_VAR (local.sh).
set -euo pipefail

lutra_local=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lutra_root=$(cd "$lutra_local/../.." && pwd)
: "${LUTRA_LOCAL_VAR:=$lutra_root/var}"
: "${LUTRA_LOCAL_CACHE:=$LUTRA_LOCAL_VAR/cache}"
# Deadline of every wait for a server; a very slow machine may want more.
: "${LUTRA_LOCAL_WAIT_S:=60}"

say() { printf '%s\n' "$*" >&2; }
die() {
    say "${0##*/}: $*"
    exit 1
}

now_ms() { printf '%s\n' "$((${EPOCHREALTIME/./} / 1000))"; }

# seconds_since MS: the time since now_ms said MS, as 1.2
seconds_since() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

# step TEXT COMMAND...: runs it and says how long it took. A failing command ends the script.
step() {
    local text=$1 begin
    shift
    begin=$(now_ms)
    printf '%-52s ' "$text" >&2
    # Not under "if" or "||": there errexit would be off inside the command.
    "$@"
    printf '%6s s\n' "$(seconds_since "$begin")" >&2
}

# await SECONDS COMMAND...: until the command succeeds; 1 when it did not in that time.
await() {
    local end=$(($(now_ms) + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        (($(now_ms) < end)) || return 1
        sleep 0.05
    done
}

# ---- Debian packages -------------------------------------------------------------------------

# packages_install GROUP...: what is missing of these groups of packages.txt.
packages_install() {
    local group missing=() package as_root=()
    for group in "$@"; do
        while read -r package; do
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
                missing+=("$package")
        done < <(awk -v group="$group" '$1 == group { print $2 }' "$lutra_local/packages.txt")
    done
    ((${#missing[@]})) || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            die "missing packages, and neither root nor sudo to install them: ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing: ${missing[*]}"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
    # The lists of a machine may be absent or old: refresh them only when it does not go without.
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { "${apt[@]}" update >/dev/null &&
            "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null; } ||
        die "these packages could not be installed: ${missing[*]}"
}

# ---- Processes -------------------------------------------------------------------------------

# A pid file holds "PID STARTTIME": with the start time a re-used pid is not taken for ours.
process_start_time() {
    local stat
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    # After the program's name, which may hold blanks: its state, 17 fields later its threads, then
    # the start time. A dying process counts until its last thread is gone: the first one may be a
    # zombie while others still hold the sockets.
    read -ra stat <<<"${stat##*) }"
    [ "${stat[0]}" != Z ] || ((stat[17] > 1)) || return 1
    printf '%s\n' "${stat[19]}"
}

# daemon_pid PIDFILE: prints the pid when that very process runs, fails otherwise.
daemon_pid() {
    local pid started
    [ -s "$1" ] && read -r pid started <"$1" && [ -n "$started" ] || return 1
    [ "$(process_start_time "$pid")" = "$started" ] && printf '%s\n' "$pid"
}

# daemon_start PIDFILE LOG COMMAND...: in a session of its own, so that Ctrl-C stays with the caller.
daemon_start() {
    local pidfile=$1 log=$2 fd
    shift 2
    (
        # No descriptor of the caller, a lock or a pipe, may live as long as the server.
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            ((fd > 2)) && eval "exec $fd>&-" 2>/dev/null
        done
        exec setsid "$@" </dev/null >>"$log" 2>&1
    ) &
    printf '%s %s\n' "$!" "$(process_start_time "$!")" >"$pidfile"
}

# daemon_await PIDFILE LOG COMMAND...: until the command succeeds; told with the log's end when the
# process ends or the time is over.
daemon_await() {
    local pidfile=$1 log=$2 end=$(($(now_ms) + LUTRA_LOCAL_WAIT_S * 1000)) what=
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! daemon_pid "$pidfile" >/dev/null; then
            what="ended at once"
        elif (($(now_ms) >= end)); then
            what="is not ready after $LUTRA_LOCAL_WAIT_S s"
        fi
        if [ -n "$what" ]; then
            say "$(basename "$pidfile" .pid) $what; the end of $log:"
            tail -n 20 "$log" >&2
            return 1
        fi
        sleep 0.05
    done
}

daemon_gone() { ! daemon_pid "$1" >/dev/null; }

# daemon_stop PIDFILE [SECONDS]: TERM, then KILL when it has not ended in time.
daemon_stop() {
    local pid
    pid=$(daemon_pid "$1") || {
        rm -f "$1"
        return 0
    }
    kill -CONT "$pid" 2>/dev/null || true
    kill -TERM "$pid" 2>/dev/null || true
    if ! await "${2:-20}" daemon_gone "$1"; then
        say "$(basename "$1" .pid) (pid $pid) did not end in ${2:-20} s: killed"
        kill -KILL "$pid" 2>/dev/null || true
        await 10 daemon_gone "$1" || die "pid $pid cannot be killed"
    fi
    rm -f "$1"
}

# daemon_kill PIDFILE: KILL, and waits until nothing of it is left. The pid file stays, as after a crash.
daemon_kill() {
    local pid
    pid=$(daemon_pid "$1") || die "no process of $1 runs"
    kill -KILL "$pid"
    await 10 daemon_gone "$1" || die "pid $pid cannot be killed"
}

# daemons_stop_all DIR: every process with a pid file under DIR.
daemons_stop_all() {
    local pidfile
    [ -d "$1" ] || return 0
    while IFS= read -r pidfile; do
        daemon_stop "$pidfile" 10
    done < <(find "$1" -name '*.pid')
}

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port_check PORT NAME: a server of ours is not started on another's port.
port_check() {
    port_taken "$1" || return 0
    die "port $1, wanted for $2, is in use by another program"
}

# free_ports N: that many different ports, free now, below the range the kernel hands out itself.
free_ports() {
    local n=$1 port seen=' '
    while ((n > 0)); do
        port=$((10240 + (RANDOM * 32768 + RANDOM) % 20480))
        case $seen in *" $port "*) continue ;; esac
        port_taken "$port" && continue
        seen+="$port "
        printf '%s\n' "$port"
        n=$((n - 1))
    done
}

# cached NAME FUNCTION: $LUTRA_LOCAL_CACHE/NAME, made by FUNCTION FOLDER the first time; complete or
# absent, whoever else asks for it at the same time.
cached() {
    local folder=$LUTRA_LOCAL_CACHE/$1
    [ -d "$folder" ] && return 0
    mkdir -p "$(dirname "$folder")"
    (
        flock 9
        [ -d "$folder" ] && exit 0
        rm -rf "$folder.new"
        mkdir "$folder.new"
        "$2" "$folder.new"
        mv "$folder.new" "$folder"
    ) 9>"$folder.lock"
}

# shellcheck source=java.sh
. "$lutra_local/java.sh"
# shellcheck source=zookeeper.sh
. "$lutra_local/zookeeper.sh"
# shellcheck source=kafka.sh
. "$lutra_local/kafka.sh"
# shellcheck source=mariadb.sh
. "$lutra_local/mariadb.sh"
# shellcheck source=stack.sh
. "$lutra_local/stack.sh"
# shellcheck source=local.sh
. "$lutra_local/local.sh"

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    [ $# -gt 0 ] || die "which function? See $0"
    "$@"
fi
