# shellcheck shell=bash
# shellcheck disable=SC2154 # lib.sh sets lutra_local
# ZooKeeper: one server, or an ensemble. Part of lib.sh.

# zookeeper_start DIR PORT [ADDRESS]: clients reach it at ADDRESS:PORT, 127.0.0.1 by default.
zookeeper_start() {
    local dir=$1 port=$2 address=${3:-127.0.0.1} jars
    daemon_pid "$dir/zookeeper.pid" >/dev/null && return 0
    port_check "$port" ZooKeeper
    jars=$(jars_folder zookeeper)
    mkdir -p "$dir/data"
    {
        zookeeper_config "$dir"
        printf 'clientPort=%s\nclientPortAddress=%s\n' "$port" "$address"
    } >"$dir/zoo.cfg"
    zookeeper_launch "$dir" "$jars"
    daemon_await "$dir/zookeeper.pid" "$dir/zookeeper.log" zookeeper_answers "$port" "$address"
}

zookeeper_config() { # DIR
    # Short ticks: sessions expire in steps of a tick, and fail-over waits for that.
    cat <<EOF
tickTime=500
minSessionTimeout=500
maxSessionTimeout=60000
maxClientCnxns=0
dataDir=$1/data
preAllocSize=1024
autopurge.purgeInterval=1
admin.enableServer=false
4lw.commands.whitelist=*
EOF
}

# zookeeper_launch DIR JARS: the server that DIR/zoo.cfg describes.
zookeeper_launch() {
    local dir=$1 jars=$2
    daemon_start "$dir/zookeeper.pid" "$dir/zookeeper.log" \
        java -Xms16m -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dlog4j2.configurationFile="$lutra_local/log4j2.properties" -Dlutra.level=INFO \
        -Dzookeeper.jmx.log4j.disable=true -Dzookeeper.forceSync=no \
        -cp "$(jars_class_path "$jars")" \
        org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/zoo.cfg"
}

# ---- an ensemble: three voters, and an observer, as another site would have ----

# zookeeper_ensemble_start DIR PORT*12: client, quorum and election port of each of the four. They
# live in DIR/1 to DIR/4; the fourth observes.
zookeeper_ensemble_start() {
    local dir=$1 node client quorum election servers=
    shift
    for node in 1 2 3 4; do
        client=$((node * 3 - 2)) quorum=$((node * 3 - 1)) election=$((node * 3))
        servers+="server.$node=127.0.0.1:${!quorum}:${!election}"
        ((node < 4)) || servers+=:observer
        servers+=";127.0.0.1:${!client}"$'\n'
    done
    for node in 1 2 3 4; do
        client=$((node * 3 - 2))
        mkdir -p "$dir/$node/data"
        printf '%s\n' "$node" >"$dir/$node/data/myid"
        printf '%s\n' "${!client}" >"$dir/$node/port"
        {
            zookeeper_config "$dir/$node"
            printf 'initLimit=20\nsyncLimit=6\n%s' "$servers"
        } >"$dir/$node/zoo.cfg"
        zookeeper_node_launch "$dir/$node"
    done
    for node in 1 2 3 4; do
        zookeeper_node_await "$dir/$node"
    done
}

# zookeeper_node_launch DIR/NODE: one of them again. zookeeper_node_await DIR/NODE: until it serves,
# which takes a quorum.
zookeeper_node_launch() {
    daemon_pid "$1/zookeeper.pid" >/dev/null || zookeeper_launch "$1" "$(jars_folder zookeeper)"
}
zookeeper_node_await() {
    daemon_await "$1/zookeeper.pid" "$1/zookeeper.log" zookeeper_mode "$(<"$1/port")"
}

# zookeeper_mode PORT [MODE]: does it serve (as leader, follower, observer)?
zookeeper_mode() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        printf srvr >&3
        timeout 2 cat <&3 | grep -q "^Mode: ${2:-}"
    ) 2>/dev/null
}

zookeeper_answers() {
    (
        exec 3<>"/dev/tcp/${2:-127.0.0.1}/$1"
        printf ruok >&3
        [ "$(timeout 2 cat <&3)" = imok ]
    ) 2>/dev/null
}

zookeeper_stop() { daemon_stop "$1/zookeeper.pid"; }
