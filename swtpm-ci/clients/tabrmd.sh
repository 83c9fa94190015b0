#!/usr/bin/env bash
# A resource manager between the module and the TPM: what most hosts have, with tpm2-abrmd in the kernel's place.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
begin tabrmd tpm2-abrmd dbus-daemon pkcs11-tool p11tool openssl swtpm

shows_the_slot() { within 10 says 'owner hierarchy' tool --list-token-slots; }
makes_keys() {
    make_key rsa:2048 01 rsa --usage-sign
    make_key EC:prime256v1 02 p256 --usage-sign
    export_public 01 "$work/01.pem"
    export_public 02 "$work/02.pem"
}
# signs ID MECHANISM OPTION...
signs() {
    local id=$1 mechanism=$2
    shift 2
    as_user --sign --id "$id" --mechanism "$mechanism" --input-file "$work/data" --output-file "$work/signature" "$@"
    says 'Verified OK' openssl dgst -sha256 -verify "$work/$id.pem" -signature "$work/signature" "$work/data"
}
# A signing process sends its session's last command so that the TPM ends the session: nothing is left to idle.
leaves_nothing_behind() {
    local before names
    before=$(tpm_commands)
    as_user --sign --id 02 --mechanism ECDSA-SHA256 --input-file "$work/data" --output-file "$work/signature"
    names=$(tpm_commands_since "$before")
    printf '%s\n' "$names"
    # U's and the key's session; P is not needed; what is flushed is U and, at the end, the key.
    [ "$(grep -c '^TPM2_StartAuthSession$' <<<"$names")" = 2 ]
    [ "$(grep -c '^TPM2_FlushContext$' <<<"$names")" = 2 ]
}
tests_everything() { says 'No errors' as_user --test; }

head -c 1000 /dev/urandom >"$work/data"
start_resource_manager
export HIERARKEY_TCTI=tabrmd:bus_type=session
check "shows the owner hierarchy's slot" shows_the_slot
check "makes a token" make_token
check "makes an RSA and a P-256 key" makes_keys
check "signs with RSA and SHA-256" signs 01 SHA256-RSA-PKCS
check "signs with ECDSA and SHA-256" signs 02 ECDSA-SHA256 --signature-format openssl
check "leaves no auth session behind a call" leaves_nothing_behind
check "passes pkcs11-tool's own tests" tests_everything
finish
