# shellcheck shell=bash
# shellcheck disable=SC2154 # lib.sh sets lutra_local
# Jars by Maven coordinates, and how Java is called. Part of lib.sh.

jars_fetch() { # NAME FOLDER
    local log=$2/.mvn.log
    mvn -q -B -f "$lutra_local/$1/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$2" -DincludeScope=runtime >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "the jars of $1 could not be fetched with Maven"
    }
    rm -f "$log"
}
jars_fetch_kafka() { jars_fetch kafka "$1"; }
jars_fetch_zookeeper() { jars_fetch zookeeper "$1"; }

# Named after the pom's content: another version is fetched anew.
jars_name() { printf 'jars/%s-%s' "$1" "$(cksum <"$lutra_local/$1/pom.xml" | cut -d' ' -f1)"; }

# jars_folder kafka|zookeeper: prints where they are, fetched when they are not.
jars_folder() {
    local name
    name=$(jars_name "$1")
    cached "$name" "jars_fetch_$1" || return 1
    printf '%s/%s\n' "$LUTRA_LOCAL_CACHE" "$name"
}

# The class path, spelled out and sorted: a class archive is valid for exactly one.
jars_class_path() {
    local jars=("$1"/*.jar)
    (
        IFS=:
        printf '%s\n' "${jars[*]}"
    )
}
