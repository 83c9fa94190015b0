#!/usr/bin/env bash
# Runs real clients against the module on a TPM emulator, the same on a laptop as in CI.
#
#   swtpm-ci/run.sh              all of them
#   swtpm-ci/run.sh pkcs11-tool  one
#
# They use the release build, the module and the tool as they are installed. Each has a TPM and a
# store of its own. A line for each check, and 'N passed, N failed' last.
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

said=$(mktemp)
trap 'rm -f "$said"' EXIT
for name in "$@"; do
    script=$here/clients/$name.sh
    if [ ! -x "$script" ]; then
        printf 'FAIL %s: there is no such client\n' "$name" | tee -a "$said"
        continue
    fi
    status=0
    timeout --kill-after=20 900 "$script" </dev/null 2>&1 | tee "$said.one" || status=$?
    cat "$said.one" >>"$said"
    # A script that died between two checks must not look like one that passed.
    if [ "$status" != 0 ] && ! grep -q '^FAIL ' "$said.one"; then
        printf 'FAIL %s: it ended with status %s\n' "$name" "$status" | tee -a "$said"
    fi
    rm -f "$said.one"
done

passed=$(grep -c '^PASS ' "$said" || true)
failed=$(grep -c '^FAIL ' "$said" || true)
if [ "$failed" != 0 ]; then
    printf '\n'
    grep '^FAIL ' "$said"
fi
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
