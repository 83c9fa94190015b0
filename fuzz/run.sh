#!/usr/bin/env bash
# Runs the fuzz targets, each for a while, from their seeds.
#
#   fuzz/run.sh                          all targets, $FUZZ_SECONDS each (60)
#   fuzz/run.sh TARGET...                these
#   FUZZ_SECONDS=0 fuzz/run.sh           the seeds only, once each
#
# What a target found stays in fuzz/corpus/TARGET, what broke it in fuzz/artifacts/TARGET; both are kept out of the repository.
# Ends with a line for each target, and fails if one was broken.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1 # cargo-fuzz wants the compiler's sanitizers, which have no stable flag.
seconds=${FUZZ_SECONDS:-60}
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    mapfile -t targets < <(cargo fuzz list)
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

cargo fuzz build
status=0
for target in "${targets[@]}"; do
    seeds=fuzz/seeds/$target
    mkdir -p "fuzz/corpus/$target"
    limits=(-print_final_stats=1 -rss_limit_mb=4096 -timeout=120 -max_len=4096 -len_control=0)
    if [ "$seconds" = 0 ]; then
        limits+=(-runs=0)
        folders=("$seeds")
    else
        limits+=("-max_total_time=$seconds")
        folders=("fuzz/corpus/$target" "$seeds")
    fi
    printf '===== %s\n' "$target"
    outcome=sound
    if ! cargo fuzz run "$target" "${folders[@]}" -- "${limits[@]}" >"$logs/$target" 2>&1; then
        outcome=BROKEN
        status=1
        grep -v '^#' "$logs/$target" | tail -n 80
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target")
    covered=$(grep -o 'cov: [0-9]*' "$logs/$target" | tail -n 1 | cut -d' ' -f2)
    printf '%-12s %10s executions, coverage %6s, %s\n' "$target" "${runs:-?}" "${covered:-?}" "$outcome" | tee -a "$logs/summary"
done
printf '\n'
cat "$logs/summary"
exit "$status"
