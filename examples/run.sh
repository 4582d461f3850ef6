#!/usr/bin/env bash
# `make run`: Holdfast with its defaults and a sample service, in a data directory of its own, in the foreground.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
data=${DATA:-$root/build/run-data}
base=${PORT_BASE:-7400}
port=${HELLO_PORT:-8080}
holdfast=$root/build/release/holdfast
export HOLDFAST_NODE=http://127.0.0.1:$base

# Whether the node says that it is ready. Without curl, which not every machine has.
ready() {
    local line=""
    { exec 9<>"/dev/tcp/127.0.0.1/$base"; } 2>/dev/null || return 1
    printf 'GET /readyz HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n\r\n' "$base" >&9
    read -r -t 2 line <&9 || true
    exec 9>&-
    [[ $line == *" 200 "* ]]
}

taken() { { exec 9<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null && exec 9>&-; }

if taken "$port" && ! taken "$base"; then
    echo "port $port is taken by another program: choose another with make run HELLO_PORT=8081" >&2
    exit 1
fi

mkdir -p "$data"
"$holdfast" up --data "$data" --port-base "$base" &
up=$!
# Ctrl-C and SIGTERM reach the keeper once each, however this script was started; the second one means at once.
trap 'kill -TERM "$up" 2>/dev/null || true' INT TERM

until ready; do
    kill -0 "$up" 2>/dev/null || { wait "$up"; break; }
    sleep 0.1
done

sed -e "s|@EXAMPLES@|$here|" -e "s|= 8080|= $port|" "$here/hello.toml" >"$data/hello.toml"
"$holdfast" apply "$data/hello.toml" --wait

short=build/release/holdfast
[ "$base" = 7400 ] || short="HOLDFAST_NODE=$HOLDFAST_NODE $short"
cat <<MESSAGE

hello runs three times on one port. In another terminal:

  curl http://127.0.0.1:$port          who answers changes from call to call
  $short status
  $short logs -f hello

Try to hurt it, and ask what happened:

  pkill -9 -f examples/hello.py        all three at once; they are back before you can look
  $short why hello
  $short restart hello --hot
  pkill -9 -f 'holdfast node'          even Holdfast's own node: hello goes on serving

Stop with Ctrl-C: the services first, then Holdfast. Everything it keeps is in $data
MESSAGE

# A trapped signal ends `wait` early; the keeper is what decides when this is over.
while kill -0 "$up" 2>/dev/null; do wait "$up" || true; done
