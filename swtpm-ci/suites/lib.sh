# shellcheck shell=bash
# What the scripts of other people's test suites share: which module is tested, a token in it, where downloads are kept, and
# how a suite's own words become a count. Sourced, never run.
#
#   TESTED   hierarkey (the default), softhsm or tpm2-pkcs11
#   MODULE   another build of ours than the debugging one
#   QUICK    not empty: only what takes a few minutes
#
# A suite's script runs the suite as it was published and ends with `count FILE`: FILE has a line for each case, its outcome
# (pass, fail, crash or skip) and its name. A case that fails is named in waivers/SUITE with the reason, or the script fails.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../waivers.sh
. "$rig/waivers.sh"

# The dictionary attack limit of a new emulator is three tries, and suites try wrong PINs on purpose.
tries_allowed=1000000

# What was downloaded and built stays here, outside of the source.
cache=${CARGO_TARGET_DIR:-$root/target}/suites
mkdir -p "$cache/cases" "$cache/logs"

TESTED=${TESTED:-hierarkey}

# begin_suite NAME PROGRAM...: the module, a TPM and a store of the suite's own, and no token yet.
begin_suite() {
    client=$1
    shift
    need "$@"
    case "$TESTED" in
        hierarkey) unset SOFTHSM2_CONF ;;
        softhsm) MODULE=/usr/lib/softhsm/libsofthsm2.so ;;
        tpm2-pkcs11) MODULE=$(rival) ;;
        *) printf 'FAIL %s: no such module: %s\n' "$client" "$TESTED"; exit 1 ;;
    esac
    find_module
    kind=$TESTED
    start_tpm
    if [ "$kind" != softhsm ]; then
        TPM2TOOLS_TCTI=swtpm:path=$work/tpm.sock \
            tpm2_dictionarylockout --setup-parameters --max-tries "$tries_allowed" --recovery-time 1 --lockout-recovery-time 1
    fi
    if [ "$kind" = tpm2-pkcs11 ]; then
        # It counts on a resource manager to drop what it and other processes leave in the TPM.
        need dbus-daemon tpm2-abrmd
        start_resource_manager
        export TPM2_PKCS11_STORE=$work/store TPM2_PKCS11_TCTI=tabrmd:bus_type=session TPM2_PKCS11_LOG_LEVEL=0
        within 10 env TPM2TOOLS_TCTI="$TPM2_PKCS11_TCTI" tpm2_getrandom 4
    fi
    if [ "$kind" = hierarkey ]; then
        # A suite makes hundreds of thousands of calls; a line for each would be most of its time.
        sed -i 's/^level = .*/level = "warn"/' "$work/hierarkey.toml"
    fi
}

# need PROGRAM...: it is no test without these.
need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || { printf 'FAIL %s: %s is not installed\n' "$client" "$program"; exit 1; }
    done
}

# Debian's libtpm2-pkcs11-1, wherever the architecture has it.
rival() {
    local file
    for file in /usr/lib/*/libtpm2_pkcs11.so.1 /usr/lib/*/pkcs11/libtpm2_pkcs11.so; do
        if [ -e "$file" ]; then
            printf '%s\n' "$file"
            return
        fi
    done
    printf 'libtpm2-pkcs11-1 is not installed\n' >&2
    return 1
}

# A token with the given label and PINs, by the calls that every module has. The TPM's resource limits are the suite's own.
token_for_suite() {
    label=$1 so_pin=$2 user_pin=$3
    make_token >"$work/token.log" 2>&1 || { cat "$work/token.log"; printf 'FAIL %s: no token was made\n' "$client"; exit 1; }
}

# virtualenv PYTHON PACKAGE...: an environment of the suite's own, made once; it knows its own path, and is made again where
# the tree was moved.
virtualenv() {
    local python=$1 made_of
    shift
    venv=$cache/venv-$client
    made_of="$venv $python $*"
    if [ "$(cat "$venv/made-of" 2>/dev/null)" != "$made_of" ]; then
        rm -rf "$venv"
        "$python" -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
        printf '%s' "$made_of" >"$venv/made-of"
    fi
}

# source_package NAME VERSION FOLDER: a Python package's source as it was published, its tests among it.
source_package() {
    source=$cache/$3
    [ -d "$source" ] && return
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary "$1" --dest "$cache/downloads" "$1==$2"
    mkdir -p "$source.new"
    tar -xzf "$cache/downloads/$3.tar.gz" --strip-components=1 -C "$source.new"
    mv "$source.new" "$source"
}

# from_junit FILE: the lines that `count` takes, of a report in JUnit's form.
from_junit() {
    python3 - "$1" <<'PYTHON'
import sys, xml.etree.ElementTree as tree

for case in tree.parse(sys.argv[1]).getroot().iter("testcase"):
    outcome, why = "pass", ""
    for child in case:
        if child.tag in ("failure", "error"):
            outcome, why = "fail", child.get("message") or ""
        elif child.tag == "skipped" and outcome == "pass":
            outcome, why = "skip", child.get("message") or ""
    name = f'{case.get("classname")}::{case.get("name")}'
    print(outcome, name.replace("\n", " "), "#", " ".join(why.split())[:300])
PYTHON
}

# each_file_of_pytest FOLDER: every file of tests in a process of its own, so that one that crashes ends no other.
each_file_of_pytest() {
    local file status
    : >"$work/cases"
    : >"$cache/logs/$client.$TESTED"
    # A copy of the tests alone: beside the source Python would take the package from there, unbuilt.
    cp -r "$1" "$work/${1##*/}"
    for file in "$work/${1##*/}"/test_*.py; do
        status=0
        rm -f "$work/junit.xml"
        (
            cd "$work"
            timeout 900 "$venv/bin/python" -m pytest -q -p no:cacheprovider --junit-xml junit.xml "${file#"$work/"}"
        ) >"$work/said" 2>&1 </dev/null || status=$?
        cat "$work/said" >>"$cache/logs/$client.$TESTED"
        if [ -s "$work/junit.xml" ]; then
            from_junit "$work/junit.xml" >>"$work/cases"
        else
            printf 'crash %s # status %s\n' "${file##*/}" "$status" >>"$work/cases"
        fi
    done
}

# go_package PATH: a copy of Debian's source of it that its tests may write to, in $package.
go_package() {
    package=$work/go/src/$1
    mkdir -p "${package%/*}"
    cp -r "/usr/share/gocode/src/$1" "$package"
    export GO111MODULE=off GOPATH=$work/go:/usr/share/gocode GOCACHE=$cache/go GOFLAGS=
}

# Every test of $package in a process of its own.
each_test_of_go() {
    local name status outcome
    : >"$work/cases"
    : >"$cache/logs/$client.$TESTED"
    (cd "$package" && go test -c -o "$work/tests" .) >"$work/said" 2>&1 </dev/null ||
        { cat "$work/said"; printf 'FAIL %s: the tests were not built\n' "$client"; exit 1; }
    (cd "$package" && "$work/tests" -test.list '.*') </dev/null | grep -E '^(Test|Example)' >"$work/names"
    while read -r name; do
        status=0
        (cd "$package" && timeout 600 "$work/tests" -test.v -test.run "^$name\$") >"$work/said" 2>&1 </dev/null || status=$?
        outcome=fail
        if [ "$status" = 0 ]; then
            outcome=pass
            if grep -q "^--- SKIP: $name " "$work/said"; then outcome=skip; fi
        elif [ "$status" -gt 2 ]; then
            outcome=crash
        fi
        printf '%s %s # %s\n' "$outcome" "$name" \
            "$({ grep -aE 'pkcs11: |panic: |Error:|_test.go:[0-9]+: ' "$work/said" || true; } | sort -u | tr '\n\t' '  ' | cut -c1-300)" >>"$work/cases"
        { printf -- '--- %s\n' "$name"; cat "$work/said"; } >>"$cache/logs/$client.$TESTED"
    done <"$work/names"
}

# count FILE: one line for each case that failed without a reason, the counts, and the script's status. What
# `swtpm-ci/suites.sh --table` counts stays in target/suites/cases.
count() {
    local cases=$cache/cases/$client.$TESTED waived=0 outcome name rest
    local waivers=$rig/suites/waivers/$client
    cp "$1" "$cases"
    local pass fail crash skip
    pass=$(grep -ac '^pass ' "$cases" || true)
    skip=$(grep -ac '^skip ' "$cases" || true)
    crash=$(grep -ac '^crash ' "$cases" || true)
    fail=$(grep -ac '^fail ' "$cases" || true)
    if [ "$TESTED" = hierarkey ]; then
        while read -r outcome name rest; do
            case "$outcome" in
                fail | crash) ;;
                *) continue ;;
            esac
            if [ "$outcome" = fail ] && waived_case "$waivers" "$name"; then
                waived=$((waived + 1))
            else
                printf 'FAIL %s: %s %s %s\n' "$client" "$outcome" "$name" "$rest"
            fi
        done <"$cases"
    fi
    printf '%s on %s: %s passed, %s failed, %s crashed, %s skipped, %s waived\n' \
        "$client" "$TESTED" "$pass" "$fail" "$crash" "$skip" "$waived"
    printf '%s: %s passed, %s failed\n' "$client" "$pass" "$((fail + crash - waived))"
    if [ "$TESTED" = hierarkey ]; then
        [ "$((fail + crash - waived))" = 0 ] && [ "$pass" -gt 0 ]
    else
        [ "$pass" -gt 0 ]
    fi
}
