# shellcheck shell=bash
# shellcheck disable=SC2154 # lib.sh sets lutra_local
# Kafka brokers in KRaft mode, one or three, without Kafka's shell scripts. Part of lib.sh.

# kafka_start DIR PORT CONTROLLER_PORT [ADDRESS]: clients reach it at ADDRESS:PORT, 127.0.0.1 by default.
kafka_start() {
    local dir=$1 port=$2 controller=$3 address=${4:-127.0.0.1}
    daemon_pid "$dir/kafka.pid" >/dev/null && return 0
    port_check "$port" Kafka
    port_check "$controller" "Kafka's controller"
    mkdir -p "$dir"
    kafka_properties "$dir/data" "$port" "$controller" "$address" >"$dir/server.properties"
    [ -d "$dir/data" ] || kafka_format "$dir/data"
    kafka_launch "$dir"
    daemon_await "$dir/kafka.pid" "$dir/kafka.log" kafka_answers "$port" "$address"
}

# kafka_launch DIR: the broker that DIR/server.properties describes.
kafka_launch() {
    local dir=$1 jars archive cds=()
    jars=$(jars_folder kafka)
    # A class archive saves a third of the start; the first clean stop makes it.
    archive=$jars/classes.jsa
    if [ -s "$archive" ]; then
        cds=(-XX:SharedArchiveFile="$archive")
    else
        cds=(-XX:ArchiveClassesAtExit="$dir/classes.jsa")
    fi
    daemon_start "$dir/kafka.pid" "$dir/kafka.log" \
        java -Xms64m -Xmx192m -XX:+UseSerialGC -Xshare:auto -Xlog:disable -Xlog:all=error:stderr \
        "${cds[@]}" -Dlog4j2.configurationFile="$lutra_local/log4j2.properties" -Dlutra.level=INFO \
        -cp "$(jars_class_path "$jars")" kafka.Kafka "$dir/server.properties"
}

kafka_answers() { kafka_sees "$1" 1 "${2:-127.0.0.1}"; }

# kafka_sees PORT N [ADDRESS]: does this broker answer, and know of N?
kafka_sees() {
    kcat -b "${3:-127.0.0.1}:$1" -L -m 2 -X log_level=0 | grep -q "^ $2 brokers:"
}

kafka_stop() {
    local dir=$1 jars
    daemon_stop "$dir/kafka.pid"
    if [ -s "$dir/classes.jsa" ]; then
        jars=$(jars_folder kafka)
        mv "$dir/classes.jsa" "$jars/classes.jsa"
    fi
}

kafka_properties() { # DATA PORT CONTROLLER_PORT [ADDRESS]
    local address=${4:-127.0.0.1}
    cat <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$3
listeners=PLAINTEXT://$address:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=PLAINTEXT://$address:$2
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$1
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
EOF
}

# ---- a cluster of three, each broker and controller in one; a topic survives the loss of one ----

# kafka_cluster_start DIR PORT*3 CONTROLLER_PORT*3: nodes in DIR/1, DIR/2, DIR/3.
kafka_cluster_start() {
    local dir=$1 node cluster
    shift
    cluster=$(kafka_uuid)
    for node in 1 2 3; do
        mkdir -p "$dir/$node"
        printf '%s\n' "${!node}" >"$dir/$node/port"
        kafka_cluster_properties "$dir/$node/data" "$node" "$@" >"$dir/$node/server.properties"
        kafka_format "$dir/$node/data" "$node" "$cluster"
        kafka_launch "$dir/$node"
    done
    for node in 1 2 3; do
        daemon_await "$dir/$node/kafka.pid" "$dir/$node/kafka.log" kafka_sees "${!node}" 3
    done
}

# kafka_node_start DIR/NODE: a node of the cluster again; returns when all three know each other.
kafka_node_start() {
    daemon_pid "$1/kafka.pid" >/dev/null && return 0
    kafka_launch "$1"
    daemon_await "$1/kafka.pid" "$1/kafka.log" kafka_sees "$(<"$1/port")" 3
}

# What kafka_properties says, but for what three change. A dead broker is noticed in 3 s, not in 9.
kafka_cluster_properties() { # DATA NODE PORT*3 CONTROLLER_PORT*3
    local data=$1 node=$2 at
    shift 2
    at=$((node + 3))
    kafka_properties "$data" "${!node}" "${!at}" |
        grep -v -e '^node.id=' -e '^controller.quorum.voters=' -e 'replication.factor=' -e 'min.isr='
    cat <<EOF
node.id=$node
controller.quorum.voters=1@127.0.0.1:$4,2@127.0.0.1:$5,3@127.0.0.1:$6
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
controller.quorum.fetch.timeout.ms=2000
controller.quorum.election.timeout.ms=1000
EOF
}

kafka_uuid() { head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '='; }

# Formatting starts a Java of its own: done once, then copied with a cluster id of its own.
kafka_format() { # DATA [NODE CLUSTER]
    cached kafka-formatted kafka_format_template
    cp -r "$LUTRA_LOCAL_CACHE/kafka-formatted/data" "$1.new"
    sed -i -e "s/^cluster.id=.*/cluster.id=${3:-$(kafka_uuid)}/" -e "s/^node.id=.*/node.id=${2:-1}/" \
        -e "s/^directory.id=.*/directory.id=$(kafka_uuid)/" "$1.new/meta.properties"
    mv "$1.new" "$1"
}

kafka_format_template() { # FOLDER
    local jars
    jars=$(jars_folder kafka)
    kafka_properties "$1/data" 9092 9093 >"$1/server.properties"
    java -Xmx64m -XX:TieredStopAtLevel=1 -Dlutra.level=ERROR \
        -Dlog4j2.configurationFile="$lutra_local/log4j2.properties" \
        -cp "$(jars_class_path "$jars")" kafka.tools.StorageTool \
        format -t AAAAAAAAQAAAAAAAAAAAAA -c "$1/server.properties" >"$1/format.log" 2>&1 ||
        die "formatting Kafka's folder failed: $(tail -n 3 "$1/format.log")"
}

# kafka_wrappers BIN PORT ZOOKEEPER_PORT: the tools under the names that Kafka's users know.
kafka_wrappers() {
    local bin=$1 port=$2 zookeeper_port=$3 name class
    mkdir -p "$bin"
    while read -r name class; do
        cat >"$bin/$name" <<EOF
#!/bin/bash
# $name of this stack's broker: --bootstrap-server is given unless the arguments name one.
args=("\$@")
[[ " \$* " == *" --bootstrap-"* ]] || args+=(--bootstrap-server 127.0.0.1:$port)
jars=$(printf '%q' "$(jars_folder kafka)")
archive=()
[ -s "\$jars/classes.jsa" ] && archive=(-XX:SharedArchiveFile="\$jars/classes.jsa")
exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xlog:disable \\
    "\${archive[@]}" -Dlutra.level=ERROR \\
    -Dlog4j2.configurationFile=$(printf '%q' "$lutra_local/log4j2.properties") \\
    -cp "\$(printf '%s:' "\$jars"/*.jar | sed 's/:\$//')" $class "\${args[@]}"
EOF
        chmod +x "$bin/$name"
        ln -sf "$name" "$bin/$name.sh"
    done <<'EOF'
kafka-topics org.apache.kafka.tools.TopicCommand
kafka-consumer-groups org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
kafka-configs kafka.admin.ConfigCommand
kafka-acls org.apache.kafka.tools.AclCommand
kafka-console-consumer org.apache.kafka.tools.consumer.ConsoleConsumer
kafka-console-producer org.apache.kafka.tools.ConsoleProducer
kafka-get-offsets org.apache.kafka.tools.GetOffsetShell
kafka-broker-api-versions org.apache.kafka.tools.BrokerApiVersionsCommand
EOF
    cat >"$bin/zookeeper-shell" <<EOF
#!/bin/bash
# zookeeper-shell [HOST:PORT] [COMMAND ARG...]: this stack's ZooKeeper unless another is named.
server=127.0.0.1:$zookeeper_port
[[ "\${1:-}" == *:[0-9]* ]] && { server=\$1; shift; }
jars=$(printf '%q' "$(jars_folder zookeeper)")
exec java -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlutra.level=ERROR \\
    -Dlog4j2.configurationFile=$(printf '%q' "$lutra_local/log4j2.properties") \\
    -cp "\$(printf '%s:' "\$jars"/*.jar | sed 's/:\$//')" \\
    org.apache.zookeeper.ZooKeeperMain -server "\$server" "\$@"
EOF
    chmod +x "$bin/zookeeper-shell"
    ln -sf zookeeper-shell "$bin/zookeeper-shell.sh"
}
