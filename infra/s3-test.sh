#!/usr/bin/env bash
# Runs the tests of search packs and uploaded files on S3 against moto, a server on this machine that
# plays S3. It is installed by pip below target/; where that cannot be, nothing is tested and the reason
# is said.
# Usage: infra/s3-test.sh
set -euo pipefail
cd "$(dirname "$0")/.."
moto="moto[server]==5.2.5"
venv=target/moto-venv

skip() { printf 's3-test: skipped: %s\n' "$*"; exit 0; }
fail() { printf 's3-test: %s\n' "$*" >&2; cat "$work/log" >&2; exit 1; }

command -v python3 >/dev/null || skip "there is no python3"
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

# A folder that an earlier run left half made is made anew.
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$moto" ]; then
    rm -rf "$venv"
    mkdir -p target
    python3 -m venv "$venv" >"$work/log" 2>&1 || skip "python3 makes no venv: $(tail -n 1 "$work/log")"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$moto" >"$work/log" 2>&1 ||
        skip "moto cannot be installed: $(tail -n 1 "$work/log")"
    printf '%s\n' "$moto" >"$venv/installed"
fi

# Built first, so that the server does not wait for it.
cargo test --locked --quiet -p portal-local --test s3 --no-run

port=5100
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
"$venv/bin/python" -m moto.server -H 127.0.0.1 -p "$port" >"$work/log" 2>&1 &
server=$!
up=
for _ in $(seq 300); do
    kill -0 "$server" 2>/dev/null || fail "moto ended before it served"
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then up=1; break; fi
    sleep 0.1
done
[ -n "$up" ] || fail "moto does not answer"

S3_TEST_ENDPOINT="http://127.0.0.1:$port" cargo test --locked --quiet -p portal-local --test s3 ||
    fail "a test on S3 failed; what moto was asked:"
echo "s3-test: packs and files on S3 work"
