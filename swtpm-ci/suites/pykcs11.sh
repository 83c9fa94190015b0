#!/usr/bin/env bash
# The tests of PyKCS11, from the source that its author publishes. The PINs are those that the tests have built in.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
version=1.5.20
begin_suite pykcs11 c++ pkcs11-tool python3 swig swtpm tpm2_dictionarylockout
source_package pykcs11 "$version" "pykcs11-$version"
virtualenv python3 pytest==8.4.2 asn1crypto==1.5.1 "$source"
token_for_suite suite 123456 1234
export PYKCS11LIB=$MODULE
each_file_of_pytest "$source/test"
count "$work/cases"
