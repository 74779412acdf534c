# A Postgres cluster that lives as long as standard input is open. $1: the folder of Postgres' programs.
# Prints the folder of its socket when it is ready, or what went wrong.
set -u
exec 2>&1
# The reader may be gone already; the cluster must be removed all the same.
trap '' PIPE
dir=$(mktemp -d "${TMPDIR:-/tmp}/rtmsd-pg-XXXXXX") || exit 1
trap '"$1/pg_ctl" --pgdata "$dir/data" --mode immediate --silent stop >/dev/null 2>&1; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
"$1/initdb" --pgdata "$dir/data" --username postgres --auth trust --encoding UTF8 --locale C \
    --no-sync >"$dir/log" 2>&1 &&
"$1/pg_ctl" --pgdata "$dir/data" --log "$dir/log" --wait --silent start --options \
    "-k '$dir' -c listen_addresses='' -c fsync=off -c max_connections=200" >>"$dir/log" 2>&1 ||
    { echo "failed: $(tail -n 5 "$dir/log" | tr '\n' ' ')"; exit 1; }
echo "$dir"
cat >/dev/null
