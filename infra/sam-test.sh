#!/usr/bin/env bash
# Lints the template, builds the functions with SAM and sends every event of events/ through its
# function as Lambda would run it: in a container, with the template's settings. All share a DynamoDB
# that is made for the run. Answers and logs are kept in target/sam-answers, and the tests compare them
# with those beside the events. Where there can be no Docker, the rest is not tested and the reason is
# said.
# Usage: infra/sam-test.sh [FAMILY/EVENT]...   only these; what an event finds is what those before it left
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
cd "$(dirname "$0")/.."
tools=(aws-sam-cli==1.170.0 cargo-lambda==1.9.2 ziglang==0.17.1)
venv=target/sam-venv
build=target/sam
answers=target/sam-answers
network=portal-sam-$$

# Short, because a unix socket's path ends after 108 bytes.
work=$(mktemp -d /tmp/portal-sam.XXXXXX)
# SAM keeps locks in it, for which a next run would wait if this one is killed.
export TMPDIR=$work
engine=
job=
image=
own_image=

skip() { printf 'sam-test: skipped: %s\n' "$*"; exit 0; }
fail() {
    printf 'sam-test: %s\n' "$1" >&2
    [ -z "${2-}" ] || tail -n 40 "$2" >&2
    exit 1
}
# In the background, so that it can be ended when the script is.
run() {
    local code=0
    "$@" &
    job=$!
    wait "$job" || code=$?
    job=
    return "$code"
}
docker_answers() { docker ps >/dev/null 2>&1; }
install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
        { apt-get update -qq && apt-get install -y -qq "$@"; } >"$work/log" 2>&1
}

stop() {
    set +e
    if [ -n "$job" ] && kill "$job" 2>/dev/null; then
        wait "$job"
    fi
    if docker_answers; then
        docker ps -aq --filter "network=$network" | xargs -r docker rm -f
        docker network rm "$network"
        # It is not what its name says.
        [ -z "$own_image" ] || docker rmi -f "$image" "${image/al2023/al2023-rapid}"
    fi >/dev/null 2>&1
    if [ -n "$engine" ]; then
        kill "$engine" 2>/dev/null
        wait "$engine"
    fi
    # What a tool that was killed has left mounted must not be deleted with the folder.
    awk -v work="$work/" 'index($2, work) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount
    rm -rf --one-file-system "$work"
}
trap stop EXIT

case $(uname -m) in
    x86_64) arch=x86_64 ;;
    aarch64) arch=arm64 ;;
    *) skip "Lambda does not run on $(uname -m)" ;;
esac

order=$(sed -n '/^const EVENTS/,/^];/ s|^[^"]*"\([a-z]*/[a-z_]*\)".*|\1|p' infra/local/tests/events.rs)
events=$order
if [ $# -gt 0 ]; then
    events=$(grep -xF -f <(printf '%s\n' "$@") <<<"$order") || true
    [ "$(grep -c . <<<"$events")" = $# ] || fail "not each of these is an event: $*"
fi

# The tools. A folder that an earlier run left half made is made anew.
if ! { command -v sam && command -v cargo-lambda; } >/dev/null; then
    if [ "$(cat "$venv/installed" 2>/dev/null)" != "${tools[*]}" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv" >"$work/log" 2>&1 || fail "python3 makes no venv" "$work/log"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${tools[@]}" >"$work/log" 2>&1 ||
            fail "SAM and cargo-lambda cannot be installed" "$work/log"
        echo "${tools[*]}" >"$venv/installed"
    fi
    PATH=$PWD/$venv/bin:$PATH
fi
# Without credentials SAM makes some up; with any it would first ask AWS whose they are.
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
export SAM_CLI_TELEMETRY=0

sam validate --lint --region eu-central-1 >"$work/log" 2>&1 || fail "the template has faults" "$work/log"

# The engine: the one that runs, or one that ends with this script.
if ! docker_answers; then
    [ "$(id -u)" = 0 ] || skip "no Docker answers, and only root can start one"
    { command -v docker && command -v dockerd; } >/dev/null || install docker.io ||
        skip "there is no Docker, and it cannot be installed"
fi
if ! docker_answers; then
    command -v dockerd >/dev/null || skip "no Docker answers, and there is no dockerd to start"
    export DOCKER_HOST=unix://$work/socket
    # Apart from this terminal: Ctrl-C must not end it before what it runs.
    setsid dockerd --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" \
        -H "$DOCKER_HOST" >"$work/engine" 2>&1 &
    engine=$!
    for _ in $(seq 300); do
        docker_answers && break
        kill -0 "$engine" 2>/dev/null || skip "dockerd does not start: $(tail -n 1 "$work/engine")"
        sleep 0.1
    done
    docker_answers || skip "dockerd does not answer: $(tail -n 1 "$work/engine")"
fi

# The image. SAM adds its emulator of the Lambda runtime to whatever has this name, so where no
# registry can be reached a bare Debian is put there.
image=public.ecr.aws/lambda/provided:al2023-$arch
if ! docker image inspect "$image" >/dev/null 2>&1 && ! timeout 120 docker pull -q "$image" >"$work/log" 2>&1; then
    rootfs=target/sam-rootfs-$arch.tgz
    if [ ! -f "$rootfs" ]; then
        echo "sam-test: making a base image"
        command -v debootstrap >/dev/null || install debootstrap ||
            fail "$image cannot be pulled, and debootstrap, which would make one, is not there" "$work/log"
        debootstrap --variant=minbase --include=ca-certificates bookworm "$work/rootfs" >"$work/log" 2>&1 ||
            fail "debootstrap failed" "$work/log"
        mkdir -p target
        tar -C "$work/rootfs" -czf "$rootfs.part" .
        mv "$rootfs.part" "$rootfs"
        rm -rf --one-file-system "$work/rootfs"
    fi
    own_image=1
    docker import "$rootfs" "$image" >/dev/null
fi

# Optimising would take most of the time and change no answer; symbols, most of the space.
# Not cached, because SAM looks for changes in a function's own folder alone.
echo "sam-test: building"
cargo build --locked --quiet -p portal-local
run env SAM_BUILD_MODE=debug CARGO_PROFILE_DEV_DEBUG=none sam build --no-cached --build-dir "$build" \
    --parameter-overrides "Architecture=$arch" >"$work/log" 2>&1 || fail "sam build failed" "$work/log"
# What is time enough for a function on AWS may be too little for a debug build on a busy machine.
sed -i 's/^\( *Timeout:\) [0-9]$/\1 60/' "$build/template.yaml"

# DynamoDB, under the name by which events/env.json knows the machine that SAM runs on.
docker network create "$network" >/dev/null
table=$(docker run -d --network "$network" --network-alias host.docker.internal -p 127.0.0.1::8000 \
    -v "$PWD/target/debug/portal-local:/portal-local:ro" --entrypoint /portal-local \
    "$image" serve --memory --dynamodb-addr 0.0.0.0:8000)
serves() {
    docker logs "$table" >"$work/log" 2>&1
    grep -q '^export TOKEN=' "$work/log"
}
for _ in $(seq 600); do
    serves && break
    sleep 0.1
done
serves || fail "DynamoDB does not start" "$work/log"
# A secret is nowhere but in the answer that issued it, so that of the events is told to the table.
SAM_TABLE=http://$(docker port "$table" 8000/tcp | head -n 1) cargo test --locked --quiet -p portal-local \
    --test events -- --ignored --exact the_table_of_sam_local_knows_the_key >"$work/log" 2>&1 ||
    fail "the table does not know the key of the events" "$work/log"

rm -rf "$answers"
month=$(date -u +%Y-%m)
for event in $events; do
    family=${event%/*}
    mkdir -p "$answers/$family"
    printf 'sam-test: %s\n' "$event"
    run sam local invoke "${family^}" --event "events/$event.json" --env-vars events/env.json \
        --template-file "$build/template.yaml" --parameter-overrides "Architecture=$arch" \
        --docker-network "$network" --skip-pull-image \
        >"$answers/$event.json" 2>"$answers/$event.log" ||
        fail "$event fails" "$answers/$event.log"
    # To SAM a function that ends without an answer has not failed.
    [ -s "$answers/$event.json" ] || fail "$event has no answer" "$answers/$event.log"
done
# A search is counted in its month. If that has ended meanwhile, the usage of the next one is another, and
# not compared.
[ "$(date -u +%Y-%m)" = "$month" ] || rm -f "$answers"/usage/get_usage{,_by_key}.json

SAM_ANSWERS=$PWD/$answers cargo test --locked --quiet -p portal-local --test events -- \
    --ignored --exact sam_local_answers_alike || fail "an answer is not as expected; its log is in $answers"
echo "sam-test: every event is answered as expected"
