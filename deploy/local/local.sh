# shellcheck shell=bash
# shellcheck disable=SC2154 # lib.sh sets lutra_local and lutra_root
# The local stack: its ports, its database users, our services. Part of lib.sh.

# The stages in the order rows pass them, then the manager: lutra-<name>, --config etc/<name>.yaml.
local_services=(select extract transform load manager)

# Name of the variable LUTRA_LOCAL_<NAME>_PORT and the port when it is not set.
local_ports() {
    cat <<'EOF'
ZOOKEEPER 23181
KAFKA 23192
KAFKA_CONTROLLER 23193
SOURCE 23306
TARGET 23307
MANAGER 23400
SELECT 23401
EXTRACT 23402
TRANSFORM 23403
LOAD 23404
EOF
}

local_preset() { printf '%s\n' "${LUTRA_LOCAL_PRESET:-release}"; }

# Ports: the environment, else those of the stack that is there, else the defaults. A stack that
# runs keeps its ports.
local_ports_load() {
    local name port variable file=$LUTRA_LOCAL_VAR/ports known=
    while read -r name port; do
        variable=LUTRA_LOCAL_${name}_PORT
        known=$(sed -n "s/^$variable=//p" "$file" 2>/dev/null || true)
        [ -n "${!variable:-}" ] || printf -v "$variable" %s "${known:-$port}"
        if ! [[ ${!variable} =~ ^[1-9][0-9]{0,4}$ ]] || ((${!variable} > 65535)); then
            die "$variable=${!variable} is not a port"
        fi
        if [ -n "$known" ] && [ "$known" != "${!variable}" ] && local_anything_runs; then
            die "the stack runs with $variable=$known; deploy/local/down first"
        fi
    done < <(local_ports)
}

local_ports_save() {
    local name variable
    while read -r name _; do
        variable=LUTRA_LOCAL_${name}_PORT
        printf '%s=%s\n' "$variable" "${!variable}"
    done < <(local_ports) >"$LUTRA_LOCAL_VAR/ports"
}

# Pid files of the stack, in the order of starting.
local_pidfiles() {
    local service
    printf '%s\n' "$LUTRA_LOCAL_VAR/zookeeper/zookeeper.pid" "$LUTRA_LOCAL_VAR/kafka/kafka.pid" \
        "$LUTRA_LOCAL_VAR/source/mariadb.pid" "$LUTRA_LOCAL_VAR/target/mariadb.pid"
    for service in "${local_services[@]}"; do
        printf '%s\n' "$LUTRA_LOCAL_VAR/services/$service/$service.pid"
    done
}

local_anything_runs() {
    local pidfile
    while read -r pidfile; do
        daemon_pid "$pidfile" >/dev/null && return 0
    done < <(local_pidfiles)
    return 1
}

# One `up` or `down` at a time.
local_lock() {
    mkdir -p "$LUTRA_LOCAL_VAR"
    exec 8>"$LUTRA_LOCAL_VAR/lock"
    flock -n 8 || die "another deploy/local command is at work on $LUTRA_LOCAL_VAR"
}

local_build() {
    local preset log=$LUTRA_LOCAL_VAR/build.log program
    preset=$(local_preset)
    (cd "$lutra_root" && cmake --preset "$preset" && cmake --build --preset "$preset") \
        >"$log" 2>&1 || {
        say
        tail -n 40 "$log" >&2
        die "the build failed; all of it: $log"
    }
    for program in "${local_services[@]/#/lutra-}" lutractl; do
        [ -x "$lutra_root/build/$preset/bin/$program" ] ||
            die "the build made no program build/$preset/bin/$program"
    done
}

# ---- Database users --------------------------------------------------------------------------

local_password_file() { printf '%s\n' "$LUTRA_LOCAL_VAR/etc/lutra.password"; }

# User lutra on both servers with what its role needs, no more. Over TCP root cannot log in: it has
# no password. (Ending its own connections needs no privilege.)
local_users() {
    local file password
    file=$(local_password_file)
    mkdir -p "$LUTRA_LOCAL_VAR/etc"
    [ -s "$file" ] || (
        umask 077
        head -c 18 /dev/urandom | base64 | tr '+/' '-_' >"$file"
    )
    password=$(<"$file")
    local user="'lutra'@'127.0.0.1'" common
    common="SET SESSION sql_log_bin = 0;
        DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';
        CREATE USER IF NOT EXISTS $user;
        ALTER USER $user IDENTIFIED BY '$password';"
    # By standard input: arguments, and with them the password, can be seen in the process list.
    mariadb_sql_input "$LUTRA_LOCAL_VAR/source" <<<"$common
        GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO $user;
        GRANT SELECT ON demo.* TO $user;
        FLUSH PRIVILEGES"
    # TRIGGER is what makes triggers visible: they are refused at a target.
    mariadb_sql_input "$LUTRA_LOCAL_VAR/target" <<<"$common
        GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON demo.* TO $user;
        GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER ON lutra.* TO $user;
        FLUSH PRIVILEGES"
}

# ---- Our services ----------------------------------------------------------------------------

service_port() { # NAME
    local variable=LUTRA_LOCAL_${1^^}_PORT
    printf '%s\n' "${!variable}"
}

service_config() { # NAME
    cat <<EOF
instance: $1-1
site: default
log:
  level: ${LUTRA_LOCAL_LOG_LEVEL:-info}
http:
  listen: 127.0.0.1:$(service_port "$1")
zookeeper:
  connect: 127.0.0.1:$LUTRA_LOCAL_ZOOKEEPER_PORT
kafka:
  brokers: 127.0.0.1:$LUTRA_LOCAL_KAFKA_PORT
state_dir: $LUTRA_LOCAL_VAR/services/$1/state
EOF
}

service_answers() { # PORT PATH
    curl --silent --show-error --fail --noproxy '*' --max-time 2 "http://127.0.0.1:$1$2"
}

# service_start NAME: starts it, or starts it anew when its program or its configuration is
# another one than that it runs with.
service_start() {
    local name=$1 dir=$LUTRA_LOCAL_VAR/services/$1 program config stamp
    program=$lutra_root/build/$(local_preset)/bin/lutra-$name
    config=$LUTRA_LOCAL_VAR/etc/$name.yaml
    [ -x "$program" ] || die "there is no program $program"
    mkdir -p "$dir/state" "$LUTRA_LOCAL_VAR/etc"
    service_config "$name" >"$config"
    stamp=$(cksum "$program" "$config")
    if daemon_pid "$dir/$name.pid" >/dev/null; then
        [ "$stamp" = "$(cat "$dir/stamp" 2>/dev/null)" ] && return 0
        service_stop "$name"
    fi
    port_check "$(service_port "$name")" "lutra-$name"
    printf '%s\n' "$stamp" >"$dir/stamp"
    daemon_start "$dir/$name.pid" "$dir/$name.log" "$program" --config "$config"
}

service_await() { # NAME
    local dir=$LUTRA_LOCAL_VAR/services/$1
    daemon_await "$dir/$1.pid" "$dir/$1.log" service_answers "$(service_port "$1")" /readyz || {
        say "/readyz of lutra-$1: $(curl -s --noproxy '*' --max-time 2 \
            "http://127.0.0.1:$(service_port "$1")/readyz" || true)"
        return 1
    }
}

service_stop() { daemon_stop "$LUTRA_LOCAL_VAR/services/$1/$1.pid" 20; }

# ---- For people ------------------------------------------------------------------------------

local_wrappers() {
    local bin=$LUTRA_LOCAL_VAR/bin side
    kafka_wrappers "$bin" "$LUTRA_LOCAL_KAFKA_PORT" "$LUTRA_LOCAL_ZOOKEEPER_PORT"
    ln -sf "$lutra_root/build/$(local_preset)/bin/lutractl" "$bin/lutractl"
    for side in source target; do
        cat >"$bin/$side-sql" <<EOF
#!/bin/bash
# The mariadb client on the $side server, as root: $side-sql [OPTION...] [DATABASE]
exec mariadb --no-defaults -u root -S $(printf '%q' "$LUTRA_LOCAL_VAR/$side/mariadb.sock") "\$@"
EOF
        chmod +x "$bin/$side-sql"
    done
}

local_env() {
    cat <<EOF
# Shell exports of the local stack: . var/env
export LUTRA_MANAGER=127.0.0.1:$LUTRA_LOCAL_MANAGER_PORT
export LUTRA_KAFKA=127.0.0.1:$LUTRA_LOCAL_KAFKA_PORT
export LUTRA_ZOOKEEPER=127.0.0.1:$LUTRA_LOCAL_ZOOKEEPER_PORT
export LUTRA_SOURCE_SOCKET=$(printf '%q' "$LUTRA_LOCAL_VAR/source/mariadb.sock")
export LUTRA_TARGET_SOCKET=$(printf '%q' "$LUTRA_LOCAL_VAR/target/mariadb.sock")
export PATH=$(printf '%q' "$LUTRA_LOCAL_VAR/bin"):"\$PATH"
EOF
}
