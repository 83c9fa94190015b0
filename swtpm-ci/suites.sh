#!/usr/bin/env bash
# Runs test suites that others wrote against the module, on a TPM emulator, or against another module by the same command.
#
#   swtpm-ci/suites.sh                              all of them against ours
#   swtpm-ci/suites.sh pykcs11 miekg                these
#   swtpm-ci/suites.sh --quick                      those that take a few minutes
#   swtpm-ci/suites.sh --module softhsm             against SoftHSM2; tpm2-pkcs11 against Debian's
#   swtpm-ci/suites.sh --module all                 against the three
#   swtpm-ci/suites.sh --table                      docs/conformance.md's rows, of the last run of each
#   swtpm-ci/suites.sh --waivers                    its table of cases left out
#
# They are downloaded at their pinned versions into target/suites. A line for each case that fails without a reason in
# swtpm-ci/suites/waivers, and 'N passed, N failed' last.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

modules=hierarkey
suites=()
quick=(pkcs11-tool python-pkcs11 miekg crypto11)
all=(pkcs11-tool pykcs11 python-pkcs11 miekg crypto11 cryptoki pkcs11-check)

# What a suite said of a module, of the cases that its last run left: passed / failed (of which waived) / skipped.
cell() {
    local file=$cache/cases/$1.$2 failed waived=0 outcome name rest
    [ -r "$file" ] || { printf 'not run'; return; }
    failed=$(grep -acE '^(fail|crash) ' "$file" || true)
    printf '%s / %s' "$(grep -ac '^pass ' "$file" || true)" "$failed"
    if [ "$2" = hierarkey ]; then
        while read -r outcome name rest; do
            if waived_case "$here/suites/waivers/$1" "$name"; then waived=$((waived + 1)); fi
        done < <(grep -aE '^(fail|crash) ' "$file")
        if [ "$waived" != 0 ]; then printf ' (%s waived)' "$waived"; fi
    fi
    printf ' / %s' "$(grep -ac '^skip ' "$file" || true)"
}
table() {
    local name tested
    # shellcheck source-path=SCRIPTDIR source=waivers.sh
    . "$here/waivers.sh"
    cache=${CARGO_TARGET_DIR:-$root/target}/suites
    printf '| suite | Hierarkey | SoftHSM2 | tpm2-pkcs11 |\n|---|---|---|---|\n'
    for name in "${all[@]}"; do
        printf '| %s ' "$name"
        for tested in hierarkey softhsm tpm2-pkcs11; do
            printf '| %s ' "$(cell "$name" "$tested")"
        done
        printf '|\n'
    done
}

waivers() {
    local name pattern reason
    printf '| suite | case | reason |\n|---|---|---|\n'
    for name in "${all[@]}"; do
        [ -r "$here/suites/waivers/$name" ] || continue
        while read -r pattern reason; do
            case "$pattern" in '' | '#'*) continue ;; esac
            printf '| %s | `%s` | %s |\n' "$name" "$pattern" "$reason"
        done <"$here/suites/waivers/$name"
    done
}

while [ $# -gt 0 ]; do
    case "$1" in
        --quick) suites+=("${quick[@]}"); export QUICK=1 ;;
        --module) modules=${2:?which module?}; shift ;;
        --table) table; exit ;;
        --waivers) waivers; exit ;;
        -*) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2 ;;
        *) suites+=("$1") ;;
    esac
    shift
done
[ "$modules" != all ] || modules="hierarkey softhsm tpm2-pkcs11"
[ "${#suites[@]}" != 0 ] || suites=("${all[@]}")

if [ -z "${MODULE:-}" ]; then
    (cd "$root" && cargo build --quiet --locked --release --lib </dev/null)
    MODULE=$(cd "$root" && readlink -f "${CARGO_TARGET_DIR:-target}/release/libhierarkey.so")
fi
export MODULE

said=$(mktemp)
trap 'rm -f "$said" "$said.one"' EXIT
for name in "${suites[@]}"; do
    script=$here/suites/$name.sh
    for tested in $modules; do
        if [ ! -x "$script" ] || [ "$name" = lib ]; then
            printf 'FAIL %s: there is no such suite\n' "$name" | tee -a "$said"
            continue
        fi
        status=0
        TESTED=$tested timeout --kill-after=20 5400 "$script" </dev/null 2>&1 | tee "$said.one" || status=$?
        cat "$said.one" >>"$said"
        # A script that died between two cases must not look like one that passed.
        if [ "$status" != 0 ] && ! grep -q '^FAIL ' "$said.one"; then
            printf 'FAIL %s: it ended with status %s\n' "$name" "$status" | tee -a "$said"
        fi
    done
done

passed=$(sed -nE 's/^[a-z0-9-]+: ([0-9]+) passed, [0-9]+ failed$/\1/p' "$said" | awk '{ n += $1 } END { print n + 0 }')
failed=$(grep -ac '^FAIL ' "$said" || true)
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
