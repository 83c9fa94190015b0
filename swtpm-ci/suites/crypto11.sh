#!/usr/bin/env bash
# The tests of crypto11, from Debian's package of it.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
begin_suite crypto11 go pkcs11-tool swtpm tpm2_dictionarylockout
token_for_suite suite 12345678 123456
go_package github.com/ThalesIgnite/crypto11
printf '{ "Path": "%s", "TokenLabel": "%s", "Pin": "%s" }\n' "$MODULE" "$label" "$user_pin" >"$package/config"
each_test_of_go
count "$work/cases"
