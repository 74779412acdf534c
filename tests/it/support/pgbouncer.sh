# A PgBouncer that lives as long as standard input is open. $1: the program. $2: the folder of Postgres' socket. $3: the
# port. $4: the pool mode. Prints "ready", or what went wrong.
set -u
exec 2>&1
trap '' PIPE
dir=$(mktemp -d "${TMPDIR:-/tmp}/rtmsd-pgbouncer-XXXXXX") || exit 1
trap 'kill "$bouncer" 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$dir/pgbouncer.ini" <<SETTINGS
[databases]
* = host=$2
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $3
unix_socket_dir =
auth_type = trust
auth_file = $dir/users
logfile = $dir/log
pidfile = $dir/pid
pool_mode = $4
default_pool_size = 3
server_round_robin = 1
server_idle_timeout = 1
max_client_conn = 2000
SETTINGS
echo '"postgres" ""' >"$dir/users"
"$1" "$dir/pgbouncer.ini" >"$dir/out" 2>&1 </dev/null &
bouncer=$!
for _ in $(seq 200); do
    grep -q 'process up' "$dir/log" 2>/dev/null && break
    kill -0 "$bouncer" 2>/dev/null || break
    sleep 0.05
done
if ! grep -q 'process up' "$dir/log" 2>/dev/null; then
    echo "failed: $(tail -n 5 "$dir/log" "$dir/out" | tr '\n' ' ')"
    exit 1
fi
echo ready
cat >/dev/null
