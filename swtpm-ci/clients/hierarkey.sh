#!/usr/bin/env bash
# The administrator's tool: makes, shows and removes a token, and gives PIN tries back.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
begin hierarkey pkcs11-tool p11tool nm readelf setsid swtpm
if [ "$kind" != hierarkey ]; then
    printf 'FAIL hierarkey: the tool is of this module only\n'
    exit 1
fi
# The tool beside the module, of the same build.
hierarkey=${MODULE%/*}/hierarkey
[ -x "$hierarkey" ] || { printf 'FAIL hierarkey: %s is not built\n' "$hierarkey"; exit 1; }

printf '%s\n' "$so_pin" >"$work/so-pin"
printf '%s\n' "$user_pin" >"$work/pin"
printf '99887766\n' >"$work/other-so-pin"
chmod 0600 "$work"/*pin

# complains PATTERN ARGUMENT...: one line on stderr, nothing on stdout, a status that is not 0, and no PIN.
complains() {
    local pattern=$1 status=0
    shift
    "$hierarkey" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    cat "$work/out" "$work/err"
    [ "$status" != 0 ] || { printf 'status %s\n' "$status"; return 1; }
    [ ! -s "$work/out" ]
    [ "$(wc -l <"$work/err")" = 1 ]
    grep -qE "^hierarkey: .*($pattern)" "$work/err"
    ! grep -qE "$so_pin|$user_pin|99887766" "$work/err"
}
init() { "$hierarkey" token init --slot owner --label "$label" --pin-file "$work/pin" --so-pin-file "$1"; }

shows_a_machine_without_token() {
    says 'slot 0 owner +not initialised' "$hierarkey" status
    says '[0-9]+ of [0-9]+ PIN tries left' "$hierarkey" status
}
makes_a_token() {
    says "token \"$label\" is in slot 0" init "$work/so-pin"
    as_user --list-objects
}
shows_the_token() {
    says "slot 0 owner +\"$label\"  serial [0-9A-Za-z]+\$" "$hierarkey" status
}
refuses_another_officer() {
    complains 'security officer PIN' token init --destroy-keys --label other --pin-file "$work/pin" --so-pin-file "$work/other-so-pin"
    shows_the_token
}
names_a_file_that_is_not_there() {
    complains "$work/none" token init --destroy-keys --label other --pin-file "$work/pin" --so-pin-file "$work/none"
}
refuses_a_long_label() {
    complains '1 to 32 bytes' token init --label 123456789012345678901234567890123 \
        --pin-file "$work/pin" --so-pin-file "$work/so-pin"
}
asks_nobody_without_a_terminal() {
    local status=0
    setsid --wait "$hierarkey" token init --destroy-keys --label other >"$work/out" 2>"$work/err" </dev/null || status=$?
    cat "$work/out" "$work/err"
    [ "$status" = 4 ] && [ "$(wc -l <"$work/err")" = 1 ]
}
tries_left() { "$hierarkey" lockout show | sed -nE 's/^tries left: ([0-9]+) of ([0-9]+)$/\1 \2/p'; }
gives_tries_back() {
    local before after max
    refuses CKR_PIN_INCORRECT on_token --login --pin 99887766 --list-objects
    read -r before max < <(tries_left)
    [ "$before" -lt "$max" ]
    says 'all tries are given back' "$hierarkey" lockout reset
    read -r after max < <(tries_left)
    [ "$after" = "$max" ]
    as_user --list-objects
}
reopens_a_locked_tpm() {
    local left max
    read -r left max < <(tries_left)
    while [ "$left" -gt 0 ]; do
        # What it says changes with the last try; that it is refused does not.
        refuses 'CKR_PIN_(INCORRECT|LOCKED)' on_token --login --pin 99887766 --list-objects
        left=$((left - 1))
    done
    refuses CKR_PIN_LOCKED on_token --login --pin "$user_pin" --list-objects
    says 'locked out' "$hierarkey" lockout show
    "$hierarkey" lockout reset
    as_user --list-objects
}
wants_destruction_said() { refuses 'destroy-keys' "$hierarkey" token remove --slot owner; }
removes_the_token() {
    says 'the token of the owner slot is removed' "$hierarkey" token remove --slot owner --destroy-keys
    says 'slot 0 owner +not initialised' "$hierarkey" status
}
has_none_to_remove() { complains 'there is no token in the owner slot' token remove --slot owner --destroy-keys; }
leaves_no_pin_in_the_log() { ! grep -E "$so_pin|$user_pin|99887766" "$work/module.log"; }
# A host without a TPM, with nothing configured.
is_silent_without_a_tpm() {
    env -u HIERARKEY_CONF -u HIERARKEY_LOG HIERARKEY_STORE="$work/none" HIERARKEY_TCTI="device:$work/none" \
        pkcs11-tool --module "$MODULE" --list-slots >"$work/out" 2>"$work/err"
    cat "$work/out" "$work/err"
    lacks hierarkey "$work/err" && lacks 'tss2|tcti|error|warn' "$work/out" && lacks 'tss2|tcti|error|warn' "$work/err"
}
# p11-kit's loader, which p11tool uses; `p11-kit list-modules` itself reads no user's configuration as root.
is_silent_in_p11_kit_without_a_tpm() {
    env -u HIERARKEY_CONF -u HIERARKEY_LOG HIERARKEY_STORE="$work/none" HIERARKEY_TCTI="device:$work/none" \
        p11tool --provider="$MODULE" --batch --list-tokens >"$work/out" 2>"$work/err" || true
    cat "$work/out" "$work/err"
    ! grep -iE 'hierarkey|tss2|tcti|error|warn' "$work/out" "$work/err"
}
tells_that_the_tpm_does_not_answer() {
    HIERARKEY_TCTI="device:$work/none" says 'does not answer' "$hierarkey" status
    HIERARKEY_TCTI="device:$work/none" complains . lockout show
}
# What the host must have, and what it gets: these and no more.
needs_few_libraries() {
    readelf -dW "$MODULE" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' >"$work/needed"
    cat "$work/needed"
    grep -q '^libtss2-mu\.so' "$work/needed"
    ! grep -vE '^(libtss2-mu|libgcc_s|libm|libc|ld-linux[-a-z0-9_]*)\.so' "$work/needed"
}
exports_pkcs11_only() {
    nm -D --defined-only "$MODULE" | awk '{ sub(/@.*/, "", $3); print $3 }' >"$work/exports"
    grep -qx C_GetFunctionList "$work/exports"
    ! grep -v '^C_' "$work/exports"
}

check "needs few libraries" needs_few_libraries
check "exports PKCS#11's names only" exports_pkcs11_only
check "shows a machine without a token" shows_a_machine_without_token
check "makes a token" makes_a_token
check "shows the token" shows_the_token
check "refuses another security officer's PIN" refuses_another_officer
check "names a PIN file that is not there" names_a_file_that_is_not_there
check "refuses a label that is too long" refuses_a_long_label
check "asks nobody where there is no terminal" asks_nobody_without_a_terminal
check "gives tries back" gives_tries_back
check "reopens a TPM that is locked out" reopens_a_locked_tpm
check "wants it said that keys are destroyed" wants_destruction_said
check "removes the token" removes_the_token
check "has no token to remove then" has_none_to_remove
check "leaves no PIN in the log" leaves_no_pin_in_the_log
check "is silent without a TPM" is_silent_without_a_tpm
check "is silent in p11-kit without a TPM" is_silent_in_p11_kit_without_a_tpm
check "tells that the TPM does not answer" tells_that_the_tpm_does_not_answer
finish
