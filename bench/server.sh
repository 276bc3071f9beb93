# Temporary servers for the benchmarks. This file is sourced. The servers listen on a socket in a directory that is
# removed at the end.
set -euo pipefail

bindir=$("${PG_CONFIG:-pg_config}" --bindir)
work=$(mktemp -d /tmp/jit_bench.XXXXXX)
chmod 755 "$work"
export PGDATABASE=postgres PGUSER=postgres
servers=()

as_postgres() {
    if [[ $EUID -eq 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi
}

stop_servers() {
    for name in "${servers[@]}"; do
        as_postgres "$bindir/pg_ctl" -D "$work/$name/data" -m immediate -s stop >/dev/null 2>&1 || true
    done
    rm -rf "$work"
}
trap stop_servers EXIT

# start_server NAME SETTING... : settings are lines of postgresql.conf.
start_server() {
    local name=$1
    shift
    mkdir "$work/$name"
    [[ $EUID -ne 0 ]] || chown postgres "$work/$name"
    as_postgres "$bindir/initdb" -D "$work/$name/data" -A trust -U postgres -N >/dev/null
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$work/$name'"
        echo "autovacuum = off"
        echo "jit_access.attempt_rate = 0"
        echo "max_connections = 200"
        echo "shared_buffers = 512MB"
        echo "max_wal_size = 4GB"
        printf '%s\n' "$@"
    } >>"$work/$name/data/postgresql.conf"
    servers+=("$name")
    as_postgres "$bindir/pg_ctl" -D "$work/$name/data" -l "$work/$name/log" -s -w start
}

on() { # on NAME COMMAND...: with that server as the default
    local name=$1
    shift
    PGHOST=$work/$name "$@"
}

sql() { # sql NAME QUERY [USER]
    PGHOST=$work/$1 PGUSER=${3:-postgres} "$bindir/psql" -XqAt -v ON_ERROR_STOP=1 -c "$2"
}

median() { sort -g | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

ratio() { awk -v a="$1" -v b="$2" -v digits="${3:-3}" 'BEGIN { printf "%.*f", digits, a / b }'; }

# Seconds per transaction of one pgbench run: run NAME USER ARGUMENTS...
seconds_per_transaction() {
    local name=$1 user=$2
    shift 2
    PGHOST=$work/$name PGUSER=$user "$bindir/pgbench" -n "$@" 2>/dev/null |
        awk '/^tps = / { printf "%.9f\n", 1 / $3 }'
}

grant_to_alice() { # grant_to_alice NAME: a live grant of a template on everything in schema public
    sql "$1" "CREATE EXTENSION IF NOT EXISTS jit_access"
    sql "$1" "CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN"
    sql "$1" "SELECT jit_create_template('bench', requesters => '{alice}', approvers => '{bob}',
              privileges => '{SELECT\\, INSERT\\, UPDATE\\, DELETE ON ALL TABLES IN SCHEMA public}')" >/dev/null
    local id
    id=$(sql "$1" "SELECT jit_request('bench', '2h')" alice)
    sql "$1" "SELECT jit_approve($id)" bob >/dev/null
}
