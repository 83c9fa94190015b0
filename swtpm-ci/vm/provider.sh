# shellcheck shell=bash
# What the scenarios about pkcs11-provider share: a token, and OpenSSL with it. Sourced after lib.sh.
# shellcheck disable=SC2154 # lib.sh and the checks' library set what is used here

# Where it stays when the script ends.
provider=/run/openssl.cnf
label=provider
makes_the_token() {
    install -d -m 0700 /var/lib/hierarkey
    printf '%s\n' "$user_pin" >"$work/pin"
    printf '%s\n' "$so_pin" >"$work/so-pin"
    hierarkey token init --label "$label" --pin-file "$work/pin" --so-pin-file "$work/so-pin"
}
MODULE=/usr/lib/$(uname -m)-linux-gnu/pkcs11/libhierarkey.so
cat >"$provider" <<END
openssl_conf = all
[all]
providers = providers
[providers]
default = software
pkcs11 = token
[software]
activate = 1
[token]
module = /usr/lib/$(uname -m)-linux-gnu/ossl-modules/pkcs11.so
pkcs11-module-path = $MODULE
pkcs11-module-encode-provider-uri-to-pem = true
activate = 1
END
with_provider() { OPENSSL_CONF=$provider timeout 120 openssl "$@"; }
key() { printf 'pkcs11:token=%s;object=%s;type=private?pin-value=%s' "$label" "$1" "$user_pin"; }
