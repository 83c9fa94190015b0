#!/usr/bin/env bash
# Runs real clients against the module on a TPM emulator, the same on a laptop as in CI.
#
#   swtpm-ci/run.sh              all of them
#   swtpm-ci/run.sh pkcs11-tool  one
#
# They use the release build, the module and the tool as they are installed. Each has a TPM and a
# store of its own, so that as many run at once as there are processors (AT_ONCE says another number).
# A line for each check, and 'N passed, N failed' last.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

if [ $# -eq 0 ]; then
    for script in "$here"/clients/*.sh; do
        name=${script##*/}
        set -- "$@" "${name%.sh}"
    done
fi

if [ -z "${MODULE:-}" ]; then
    (cd "$root" && cargo build --quiet --locked --release --workspace </dev/null)
    MODULE=$(cd "$root" && readlink -f "${CARGO_TARGET_DIR:-target}/release/libhierarkey.so")
fi
export MODULE
printf 'module: %s\n' "$MODULE"

said=$(mktemp -d)
declare -A client_of=()
# timeout hands the signal on to its script, which stops what it started.
trap 'for pid in "${!client_of[@]}"; do kill "$pid" 2>/dev/null || true; done; wait; rm -rf "$said"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Waits for one of the clients, and tells in one piece what it said: line by line, two would speak in turns.
next_ends() {
    local pid status=0 name
    wait -n -p pid || status=$?
    name=${client_of[$pid]}
    unset "client_of[$pid]"
    cat "$said/$name"
    cat "$said/$name" >>"$said/all"
    # A script that died between two checks must not look like one that passed.
    if [ "$status" != 0 ] && ! grep -q '^FAIL ' "$said/$name"; then
        printf 'FAIL %s: it ended with status %s\n' "$name" "$status" | tee -a "$said/all"
    fi
}

: >"$said/all"
at_once=${AT_ONCE:-$(nproc)}
for name in "$@"; do
    script=$here/clients/$name.sh
    if [ ! -x "$script" ]; then
        printf 'FAIL %s: there is no such client\n' "$name" | tee -a "$said/all"
        continue
    fi
    [ "${#client_of[@]}" -lt "$at_once" ] || next_ends
    timeout --kill-after=20 900 "$script" </dev/null >"$said/$name" 2>&1 &
    client_of[$!]=$name
done
while [ "${#client_of[@]}" -gt 0 ]; do next_ends; done

passed=$(grep -c '^PASS ' "$said/all" || true)
failed=$(grep -c '^FAIL ' "$said/all" || true)
if [ "$failed" != 0 ]; then
    printf '\n'
    grep '^FAIL ' "$said/all"
fi
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
