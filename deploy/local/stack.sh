# shellcheck shell=bash
# The servers that one set of integration tests shares, on free ports. Part of lib.sh.

# stack_start DIR [ADDRESS]: ZooKeeper, Kafka and two MariaDB servers under DIR, started side by side;
# they listen on ADDRESS, 127.0.0.1 by default.
# DIR/env then holds the shell exports that tests read.
stack_start() {
    local dir=$1 address=${2:-127.0.0.1} ports job jobs=() failed=0
    mapfile -t ports < <(free_ports 5)
    # Fetched here, since what fails in a job is told only after all of them.
    jars_folder zookeeper >/dev/null
    jars_folder kafka >/dev/null
    mkdir -p "$dir"
    zookeeper_start "$dir/zookeeper" "${ports[0]}" "$address" &
    jobs+=("$!")
    kafka_start "$dir/kafka" "${ports[1]}" "${ports[2]}" "$address" &
    jobs+=("$!")
    mariadb_start "$dir/source" "${ports[3]}" "bind_address=$address" &
    jobs+=("$!")
    mariadb_start "$dir/target" "${ports[4]}" "bind_address=$address" &
    jobs+=("$!")
    for job in "${jobs[@]}"; do
        wait "$job" || failed=1
    done
    if ((failed)); then
        stack_stop "$dir"
        return 1
    fi
    cat >"$dir/env" <<EOF
export LUTRA_TEST_ZOOKEEPER=$address:${ports[0]}
export LUTRA_TEST_KAFKA=$address:${ports[1]}
export LUTRA_TEST_SOURCE_SOCKET=$dir/source/mariadb.sock
export LUTRA_TEST_SOURCE_PORT=${ports[3]}
export LUTRA_TEST_TARGET_SOCKET=$dir/target/mariadb.sock
export LUTRA_TEST_TARGET_PORT=${ports[4]}
EOF
}

stack_stop() { daemons_stop_all "$1"; }
