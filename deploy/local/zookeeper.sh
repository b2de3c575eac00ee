# shellcheck shell=bash
# shellcheck disable=SC2154 # lib.sh sets lutra_local
# One ZooKeeper server. Part of lib.sh.

# zookeeper_start DIR PORT [ADDRESS]: clients reach it at ADDRESS:PORT, 127.0.0.1 by default.
zookeeper_start() {
    local dir=$1 port=$2 address=${3:-127.0.0.1} jars
    daemon_pid "$dir/zookeeper.pid" >/dev/null && return 0
    port_check "$port" ZooKeeper
    jars=$(jars_folder zookeeper)
    mkdir -p "$dir/data"
    # Short ticks: sessions expire in steps of a tick, and fail-over waits for that.
    cat >"$dir/zoo.cfg" <<EOF
tickTime=500
minSessionTimeout=500
maxSessionTimeout=60000
maxClientCnxns=0
clientPort=$port
clientPortAddress=$address
dataDir=$dir/data
preAllocSize=1024
autopurge.purgeInterval=1
admin.enableServer=false
4lw.commands.whitelist=*
EOF
    daemon_start "$dir/zookeeper.pid" "$dir/zookeeper.log" \
        java -Xms16m -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dlog4j2.configurationFile="$lutra_local/log4j2.properties" -Dlutra.level=INFO \
        -Dzookeeper.jmx.log4j.disable=true -Dzookeeper.forceSync=no \
        -cp "$(jars_class_path "$jars")" \
        org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/zoo.cfg"
    daemon_await "$dir/zookeeper.pid" "$dir/zookeeper.log" zookeeper_answers "$port" "$address"
}

zookeeper_answers() {
    (
        exec 3<>"/dev/tcp/${2:-127.0.0.1}/$1"
        printf ruok >&3
        [ "$(timeout 2 cat <&3)" = imok ]
    ) 2>/dev/null
}

zookeeper_stop() { daemon_stop "$1/zookeeper.pid"; }
