#!/usr/bin/env bash
# Runs the README's lines, as they stand there, against a built portal-local, and looks at what comes
# back. Usage: infra/smoke.sh target/debug/portal-local
set -euo pipefail
binary=$(realpath "$1")
readme=$(realpath "$(dirname "$0")/../README.md")
work=$(mktemp -d)
cd "$work"

# The README speaks of port 3000; where that is taken, any other does.
port=3000
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done

server=
trap '[ -z "$server" ] || kill -9 "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

fail() { printf 'smoke: %s\n' "$*" >&2; cat log >&2; exit 1; }

# Starts it, and waits for the end of its welcome.
start() {
    # What one before it has printed says nothing of this one.
    : >out
    "$binary" --addr "127.0.0.1:$port" >>out 2>>log &
    server=$!
    for _ in $(seq 600); do
        if grep -q '/portal/quickstart' out; then return; fi
        kill -0 "$server" 2>/dev/null || fail "it ended before it served"
        sleep 0.1
    done
    fail "it does not serve"
}

start
eval "$(grep '^export TOKEN=' out)"

# Every line of the README's curl blocks, in order.
sed -n '/^```sh$/,/^```$/p' "$readme" | grep -E '^(curl|printf)' | sed "s/127.0.0.1:3000/127.0.0.1:$port/g" >lines
[ "$(wc -l <lines)" -ge 24 ] || fail "the README has lost its lines"
while IFS= read -r line; do
    printf '%s\n' "$line" | cut -c1-120
    answer=$(bash -c "$line") || fail "failed: $line"
    case "$answer" in
        '{"detail"'*) fail "refused: $answer" ;;
        # The README says to put it there.
        *'"key":"sk_live_'*)
            KEY=$(grep -o 'sk_live_[0-9a-f]*' <<<"$answer")
            export KEY
            ;;
    esac
    printf '%s\n' "$answer" >>answers
done <lines

expect() { grep -q "$1" answers || fail "no answer has $1: $(cat answers)"; }
expect '"key":"sk_live_'
expect '"summary":{"submitted":2,"accepted":2,"rejected":0,"dedup_skipped":0}'
expect '"name":"Linear Bearing LM16UU"'
expect '"all_completed":true'
expect '"plan":"pro"'
expect '| 1 | Hex Bolt M8x40 A2 | 1.00 |'
expect '"summary":{"submitted":1,"accepted":1,"rejected":0,"dedup_skipped":0}'
expect '"name":"Washer M8 A2"'
expect '"name":"Rivet 4x10"'
expect '^\[{"collection":"catalog".*"record_count":1,'
expect '"uploads":\[{"upload_id":"[^"]*","status":"complete"'
expect '"status":"ready"'
expect '"status":"swapped","total_records":1'

kill -TERM "$server"
code=0
wait "$server" || code=$?
[ "$code" = 0 ] || fail "exit code $code after SIGTERM"

# Everything is there again after a restart.
start
curl -s "http://127.0.0.1:$port/api/v1/portal/records?collection=catalog" -H "Authorization: Bearer $TOKEN" >answers
expect '"name":"Hex Bolt M10x50 A2"'
expect '"total":1[,}]'
curl -s "http://127.0.0.1:$port/api/v1/health" >answers
expect '{"status":"ok"}'
kill -TERM "$server"
wait "$server" || fail "the restarted server did not end well"
echo "smoke: every line of the README works"
