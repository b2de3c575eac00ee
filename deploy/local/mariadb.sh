# shellcheck shell=bash
# One MariaDB server with a private data folder. Part of lib.sh.

# mariadb_start DIR PORT [OPTION=VALUE...]: options for my.cnf, taken when the folder is new.
# Socket DIR/mariadb.sock, root without password there. The server id is the port. It listens on
# 127.0.0.1; bind_address=... says otherwise.
mariadb_start() {
    local dir=$1 port=$2
    shift 2
    daemon_pid "$dir/mariadb.pid" >/dev/null && return 0
    port_check "$port" MariaDB
    mkdir -p "$dir"
    # sun_path holds 108 bytes; the server would refuse with a riddle.
    ((${#dir} + 13 < 108)) || die "the path $dir is too long for a socket"
    if [ ! -d "$dir/data" ]; then
        cached mariadb-template mariadb_template
        rm -rf "$dir/data.new"
        cp -r --reflink=auto "$LUTRA_LOCAL_CACHE/mariadb-template/data" "$dir/data.new"
        mv "$dir/data.new" "$dir/data"
    fi
    [ -f "$dir/my.cnf" ] || mariadb_config "$dir" "$port" "$@" >"$dir/my.cnf"
    sed -i "s/^port=.*/port=$port/" "$dir/my.cnf"
    # Of its own: a server that starts removes the temporary tables that it finds in its tmpdir.
    mkdir -p "$dir/tmp"
    daemon_start "$dir/mariadb.pid" "$dir/mariadb.log" mariadbd --defaults-file="$dir/my.cnf"
    daemon_await "$dir/mariadb.pid" "$dir/mariadb.log" mariadb_sql "$dir" 'DO 1'
}

mariadb_stop() { daemon_stop "$1/mariadb.pid" 60; }

# mariadb_sql DIR STATEMENT [ARG...]: as root over the socket, bare values out.
mariadb_sql() {
    local dir=$1 statement=$2
    shift 2
    mariadb_sql_input "$dir" "$@" -e "$statement"
}

# mariadb_sql_input DIR [ARG...]: the same, the statements by standard input.
mariadb_sql_input() {
    local dir=$1
    shift
    mariadb --no-defaults -u root -S "$dir/mariadb.sock" -N -B "$@"
}

# What a synchronised source needs (the three binlog_* settings); little memory, and no fsync per
# commit, because these servers hold nothing that could not be made again.
mariadb_config() { # DIR PORT [OPTION=VALUE...]
    local dir=$1 port=$2
    shift 2
    cat <<EOF
[mariadbd]
user=$(id -un)
datadir=$dir/data
tmpdir=$dir/tmp
socket=$dir/mariadb.sock
pid-file=$dir/data/mariadbd.pid-file
port=$port
server_id=$port
bind_address=127.0.0.1
skip_name_resolve
log_bin=binlog
binlog_format=ROW
binlog_row_image=FULL
binlog_row_metadata=FULL
character_set_server=utf8mb4
innodb_buffer_pool_size=128M
innodb_log_file_size=32M
innodb_flush_log_at_trx_commit=2
sync_binlog=0
max_allowed_packet=64M
max_connections=200
performance_schema=OFF
EOF
    (($# == 0)) || printf '%s\n' "$@"
}

mariadb_template() { # FOLDER
    mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$1/data" --skip-test-db \
        --auth-root-authentication-method=normal --skip-name-resolve --skip-log-bin \
        --innodb-log-file-size=32M >"$1/install.log" 2>&1 || {
        tail -n 20 "$1/install.log" >&2
        die "mariadb-install-db failed"
    }
}
