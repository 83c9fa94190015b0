#!/usr/bin/env bash
# The tests, and two programs, with valgrind's memcheck looking on: memory that is not there, bytes that nobody wrote, leaks. None of
# its reports is the module's.
#
#   tools/sanitize.sh          what reaches widest, and pkcs11-tool and p11tool
#   tools/sanitize.sh FILTER   the tests that cargo-nextest's filter names: 'binary(abi)', 'binary(life) & test(whole)'
#
# Logs stay in target/sanitize.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

logs=$(mkdir -p "${CARGO_TARGET_DIR:-target}/sanitize" && cd "${CARGO_TARGET_DIR:-target}/sanitize" && pwd)
triple=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(printf '%s' "$triple" | tr 'a-z-' 'A-Z_')_RUNNER

# The arguments of the whole ABI, whole lives, everything that is listed with each flag, key and split, what ends each operation. Five
# hundred lives tell no more here than the two of their neighbour.
wide='binary(abi) | binary(general) | binary(coverage) | binary(operations) | binary(operation_state) | binary(dual)
    | binary(partitions) | binary(wrapping) | (binary(life) - test(ten_thousand) - test(fifty))'
filter=${1:-$wide}

status=0
rm -f "$logs"/*.log
# Only the tests' own programs are followed, no emulator and no client. No other program is built than those that the filter names.
valgrind="valgrind --quiet --trace-children=yes --trace-children-skip=/usr/*,/bin/*,/sbin/* --num-callers=40
    --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=none --error-exitcode=97 --keep-debuginfo=yes
    --log-file=$logs/%p.log"
mapfile -t programs < <(grep -oE 'binary\([a-z0-9_]+\)' <<<"$filter" | sed -E 's/binary\((.*)\)/--test=\1/' | sort -u)
env "$runner=$(printf '%s' "$valgrind" | tr -s '\n ' ' ')" \
    cargo nextest run --locked --no-fail-fast --config-file tests/sanitize/nextest.toml "${programs[@]}" -E "$filter" || status=1
awk -f tests/sanitize/ours.awk "$logs"/*.log || status=1

if [ $# -eq 0 ]; then
    swtpm-ci/memcheck.sh || status=1
fi
[ "$status" = 0 ] && printf 'no report is the module'\''s\n'
exit "$status"
