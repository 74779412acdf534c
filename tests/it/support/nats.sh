# A NATS server that lives as long as standard input is open. $1: the program, $2: its settings, $3: its log.
"$1" -c "$2" >>"$3" 2>&1 &
server=$!
cat >/dev/null
kill -KILL $server
wait
