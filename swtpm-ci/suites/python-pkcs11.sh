#!/usr/bin/env bash
# The tests of python-pkcs11, from the source that its authors publish.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
version=0.10.1
begin_suite python-pkcs11 cc openssl pkcs11-tool python3 swtpm tpm2_dictionarylockout
# Its AES keys ask for every usage at once, which the module refuses where the administrator does not allow it.
if [ "$kind" = hierarkey ]; then
    sed -i '1i mixed_wrapping_keys = true' "$work/hierarkey.toml"
fi
source_package python-pkcs11 "$version" "python_pkcs11-$version"
virtualenv python3 pytest==8.4.2 parameterized==0.9.0 asn1crypto==1.5.1 cryptography==50.0.2 "$source"
token_for_suite suite 12345678 123456
export PKCS11_MODULE=$MODULE PKCS11_TOKEN_LABEL=$label PKCS11_TOKEN_PIN=$user_pin PKCS11_TOKEN_SO_PIN=$so_pin
each_file_of_pytest "$source/tests"
count "$work/cases"
