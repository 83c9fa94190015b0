#!/usr/bin/env bash
# pkcs11-tool and p11tool under valgrind's memcheck with the module loaded: what they do wrong themselves is theirs, and no report has
# a frame of the module's. `make sanitize` runs it.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
begin memcheck valgrind pkcs11-tool p11tool

# watched COMMAND...: under valgrind; the reports that are ours, or that it looked at nothing, make it fail.
watched() {
    rm -f "$work"/valgrind.*
    valgrind --leak-check=full --show-leak-kinds=definite --keep-debuginfo=yes --num-callers=40 --log-file="$work/valgrind.%p" "$@"
    grep -h 'ERROR SUMMARY' "$work"/valgrind.*
    awk -f tests/sanitize/ours.awk "$work"/valgrind.*
}
tested() { watched pkcs11-tool --module "$MODULE" --token-label "$label" --login --pin "$user_pin" --test; }
listed() { watched pkcs11-tool --module "$MODULE" --token-label "$label" --login --pin "$user_pin" --list-objects; }
signed() {
    printf 'data' >"$work/data"
    watched pkcs11-tool --module "$MODULE" --token-label "$label" --login --pin "$user_pin" \
        --sign --id 01 --mechanism ECDSA-SHA256 --input-file "$work/data" --output-file "$work/signature"
}
walked() { GNUTLS_PIN=$user_pin watched p11tool --provider "$MODULE" --login --list-all "pkcs11:token=$label"; }
tested_by_p11tool() { GNUTLS_PIN=$user_pin watched p11tool --provider "$MODULE" --login --test-sign "pkcs11:token=$label;id=%01;type=private"; }

check "a token is made" make_token
check "an EC key pair is made" make_key EC:prime256v1 01 ec --usage-sign
check "an RSA key pair is made" make_key RSA:2048 02 rsa --usage-sign --usage-decrypt
check "pkcs11-tool --test gives no report of the module" tested
check "pkcs11-tool --list-objects gives none" listed
check "pkcs11-tool --sign gives none" signed
check "p11tool --list-all gives none" walked
check "p11tool --test-sign gives none" tested_by_p11tool
finish
