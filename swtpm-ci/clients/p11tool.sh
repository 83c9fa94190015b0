#!/usr/bin/env bash
# GnuTLS: p11tool's view of the token, keys made by it, and a certificate signed with one.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
begin p11tool p11tool certtool pkcs11-tool openssl swtpm
export GNUTLS_PIN=$user_pin GNUTLS_SO_PIN=$so_pin
uri="pkcs11:token=$label"

gnutls() { p11tool --provider="$MODULE" --batch "$@"; }

shows_the_token() { says "URL: pkcs11:.*token=$label" gnutls --list-tokens; }
lists_mechanisms() { says 'CKM_RSA_PKCS\b' gnutls --list-mechanisms "$uri"; }

# generates LABEL TYPE OPTION...
generates() {
    local name=$1 type=$2
    shift 2
    gnutls --login --generate-privkey="$type" "$@" --label="$name" --outfile="$work/$name.pem" "$uri"
    openssl pkey -pubin -in "$work/$name.pem" -noout -text
}
lists_everything() {
    gnutls --login --list-all "$uri" >"$work/all"
    cat "$work/all"
    grep -q 'object=gnutls-rsa;type=private' "$work/all"
    grep -q 'object=gnutls-ec;type=private' "$work/all"
    grep -q 'object=gnutls-rsa;type=public' "$work/all"
    grep -q 'CKA_SENSITIVE' "$work/all"
}
# test_sign LABEL OPTION...: p11tool signs with the key and verifies against both of its halves.
test_sign() {
    local name=$1
    shift
    gnutls --login --test-sign "$@" "$uri;object=$name;type=private" >"$work/sign" 2>&1 || { cat "$work/sign"; return 1; }
    cat "$work/sign"
    [ "$(grep -c 'ok$' "$work/sign")" -ge 2 ]
    ! grep -qi 'failed' "$work/sign"
}
exports_the_public_key() {
    gnutls --login --export-pubkey "$uri;object=$1;type=private" --outfile "$work/exported.pem"
    openssl pkey -pubin -in "$work/exported.pem" -outform DER -out "$work/exported.der"
    openssl pkey -pubin -in "$work/$1.pem" -outform DER -out "$work/made.der"
    cmp "$work/exported.der" "$work/made.der"
}
signs_a_certificate() {
    printf 'cn = "%s"\nserial = 1\nexpiration_days = 30\nsigning_key\n' "$1" >"$work/template"
    certtool --provider="$MODULE" --generate-self-signed --template "$work/template" \
        --load-privkey "$uri;object=$1;type=private" --load-pubkey "$uri;object=$1;type=public" \
        --outfile "$work/$1.crt"
    says "$1.crt: OK" openssl verify -CAfile "$work/$1.crt" "$work/$1.crt"
}
keeps_a_certificate() {
    gnutls --login --write --load-certificate "$work/gnutls-ec.crt" --label gnutls-crt "$uri"
    gnutls --export "$uri;object=gnutls-crt;type=cert" --outfile "$work/exported.crt"
    openssl x509 -in "$work/exported.crt" -outform DER -out "$work/exported.der"
    openssl x509 -in "$work/gnutls-ec.crt" -outform DER -out "$work/made.der"
    cmp "$work/exported.der" "$work/made.der"
}
deletes_a_certificate() {
    gnutls --login --delete "$uri;object=gnutls-crt;type=cert"
    gnutls --login --list-all "$uri" >"$work/all" 2>&1 || true
    ! grep -q 'object=gnutls-crt' "$work/all"
}
makes_random_bytes() {
    gnutls --generate-random=64 --outfile="$work/random" "$uri"
    [ "$(stat -c %s "$work/random")" = 64 ]
}

check "makes a token" make_token
check "shows the token" shows_the_token
check "lists the mechanisms" lists_mechanisms
check "makes an RSA-2048 key pair" generates gnutls-rsa rsa --bits=2048
check "makes a P-256 key pair" generates gnutls-ec ecc --curve=secp256r1
check "lists everything" lists_everything
check "signs and verifies with RSA" test_sign gnutls-rsa
check "signs and verifies with RSA and SHA-512" test_sign gnutls-rsa --hash=SHA512
check "signs and verifies with RSA-PSS" test_sign gnutls-rsa --sign-params=RSA-PSS --hash=SHA256
check "signs and verifies with ECDSA" test_sign gnutls-ec
check "exports the RSA public key" exports_the_public_key gnutls-rsa
check "exports the EC public key" exports_the_public_key gnutls-ec
check "signs a certificate with the RSA key" signs_a_certificate gnutls-rsa
check "signs a certificate with the EC key" signs_a_certificate gnutls-ec
check "keeps a certificate" keeps_a_certificate
check "deletes a certificate" deletes_a_certificate
check "makes an RSA key pair that asks for the PIN at each use" generates asks-rsa rsa --bits=2048 --mark-always-authenticate
check "makes an EC key pair that asks for the PIN at each use" generates asks-ec ecc --curve=secp256r1 --mark-always-authenticate
check "signs and verifies with the RSA key that asks" test_sign asks-rsa
check "signs and verifies with the EC key that asks" test_sign asks-ec
check "makes random bytes" makes_random_bytes
finish
