#!/usr/bin/env bash
# The tests of miekg/pkcs11, from Debian's package of it. They name a token and a key of SoftHSM's; the key is made here.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
begin_suite miekg go pkcs11-tool swtpm tpm2_dictionarylockout
token_for_suite suite 12345678 1234
as_user --keypairgen --key-type rsa:2048 --id 01 --label 'my key' --usage-sign --usage-decrypt >"$work/key.log" 2>&1
go_package github.com/miekg/pkcs11
if [ "$kind" = softhsm ]; then
    # The tests say where SoftHSM2's configuration is: beside them.
    cp "$SOFTHSM2_CONF" "$package/softhsm2.conf"
fi
export SOFTHSM_LIB=$MODULE SOFTHSM_TOKENLABEL=$label SOFTHSM_PRIVKEYLABEL='my key' SOFTHSM_PIN=$user_pin
each_test_of_go
count "$work/cases"
