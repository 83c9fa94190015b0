#!/usr/bin/env bash
# The tests that OpenSC's pkcs11-tool has built in: digests, signatures, EC, forked children and threads.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
begin_suite pkcs11-tool pkcs11-tool swtpm tpm2_dictionarylockout
token_for_suite suite 12345678 123456

user=(--token-label "$label" --login --pin "$user_pin")
: >"$work/cases"
: >"$cache/logs/$client.$TESTED"
# All threads but the first that initialises hear that another did; that is what they must hear.
# The tool ends with status 0 whatever a test of it found, and counts errors in a line.
# case_of NAME PATTERN OPTION...: it succeeds, says the pattern, and counts no error.
case_of() {
    local name=$1 pattern=$2 status=0 outcome=fail
    shift 2
    timeout 120 pkcs11-tool --module "$MODULE" "$@" >"$work/said" 2>&1 </dev/null || status=$?
    if [ "$status" -gt 127 ]; then
        outcome=crash
    elif [ "$status" = 0 ] && grep -qE -e "$pattern" "$work/said" &&
        ! grep -E 'ERR:|[0-9]+ errors?$|^error: |returned CKR_[^O]|Unknown test' "$work/said" |
            grep -qv 'C_Initialize.*CKR_CRYPTOKI_ALREADY_INITIALIZED'; then
        outcome=pass
    fi
    printf '%s %s # status %s %s\n' "$outcome" "$name" "$status" \
        "$({ grep -aE 'ERR|error|returned CKR_[^O]' "$work/said" || true; } | tr '\n\t' '  ' | cut -c1-300)" >>"$work/cases"
    { printf -- '--- %s\n' "$name"; cat "$work/said"; } >>"$cache/logs/$client.$TESTED"
}

case_of test-without-keys 'No errors' "${user[@]}" --test
case_of make-rsa 'Private Key Object; RSA' "${user[@]}" --keypairgen --key-type rsa:2048 --id 01 --label rsa --usage-sign --usage-decrypt
case_of make-ec 'Private Key Object; EC' "${user[@]}" --keypairgen --key-type EC:prime256v1 --id 02 --label ec --usage-sign
case_of test 'No errors' "${user[@]}" --test
case_of test-ec 'OK' "${user[@]}" --session-rw --test-ec --key-type EC:prime256v1 --id 03 --label made-by-test
case_of test-fork 'Calling C_Initialize in forked child' --test-fork
case_of test-threads-null-arguments 'returning rv = 0' --test-threads IN:GI:SL:T0
# Four threads that initialise, list and read at the same time.
four=(--test-threads IL:GI:SL:T0 --test-threads IL:GI:SL:T0 --test-threads IL:SL:GI:T0 --test-threads IL:SL:T0:GI)
case_of test-threads 'returning rv = 0' "${four[@]}"
count "$work/cases"
