#!/usr/bin/env bash
# machine: trixie
# Debian 13's pkcs11-provider: OpenSSL 3 signs, decrypts and serves TLS with keys in the token.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. /rig/src/swtpm-ci/vm/lib.sh
# shellcheck source-path=SCRIPTDIR source=../provider.sh
. /rig/src/swtpm-ci/vm/provider.sh
makes_keys() {
    make_key rsa:2048 01 rsa --usage-sign --usage-decrypt
    make_key EC:prime256v1 02 ec --usage-sign --usage-derive
    local name
    for name in rsa ec; do
        with_provider pkey -in "pkcs11:token=$label;object=$name;type=public" -pubin -pubout -out "$work/$name.pem"
        openssl pkey -pubin -in "$work/$name.pem" -noout -text
    done
}
# signs KEY OPTION...
signs() {
    local name=$1
    shift
    printf 'a text\n' >"$work/text"
    with_provider dgst -sha256 "$@" -sign "$(key "$name")" -out "$work/signature" "$work/text"
    says 'Verified OK' openssl dgst -sha256 "$@" -verify "$work/$name.pem" -signature "$work/signature" "$work/text"
}
decrypts() {
    printf 'a secret' >"$work/secret"
    openssl pkeyutl -encrypt -pubin -inkey "$work/rsa.pem" "$@" -in "$work/secret" -out "$work/encrypted"
    with_provider pkeyutl -decrypt -inkey "$(key rsa)" "$@" -in "$work/encrypted" -out "$work/decrypted"
    cmp "$work/secret" "$work/decrypted"
}
derives() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/peer.pem"
    openssl pkey -in "$work/peer.pem" -pubout -out "$work/peer.pub"
    with_provider pkeyutl -derive -inkey "$(key ec)" -peerkey "$work/peer.pub" -out "$work/ours"
    openssl pkeyutl -derive -inkey "$work/peer.pem" -peerkey "$work/ec.pem" -out "$work/theirs"
    cmp "$work/ours" "$work/theirs"
}
makes_a_certificate() {
    with_provider req -x509 -new -key "$(key "$1")" -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 30 -out "$work/$1.crt"
    says "$1.crt: OK" openssl verify -CAfile "$work/$1.crt" "$work/$1.crt"
}
makes_a_key_itself() {
    with_provider genpkey -propquery provider=pkcs11 -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
        -pkeyopt "pkcs11_uri:pkcs11:token=$label;object=made;pin-value=$user_pin" -out "$work/made"
    says 'object=made;' p11tool --list-all --login --set-pin "$user_pin" --provider "$MODULE" "pkcs11:token=$label"
}
# shakes_hands VERSION KEY PORT: a server whose key is in the token, and a client that has nothing of ours.
shakes_hands() {
    local server status=0
    rm -f "$work/server.log"
    OPENSSL_CONF=$provider openssl s_server -"$1" -key "$(key "$2")" -cert "$work/$2.crt" \
        -accept "127.0.0.1:$3" -www >"$work/server.log" 2>&1 </dev/null &
    server=$!
    within 60 grep -q ACCEPT "$work/server.log" || { stop "$server"; cat "$work/server.log"; return 1; }
    for _ in 1 2 3; do
        timeout 60 openssl s_client -"$1" -connect "127.0.0.1:$3" -servername localhost -verify_hostname localhost \
            -verify_return_error -CAfile "$work/$2.crt" >"$work/client.log" 2>&1 </dev/null || status=$?
        cat "$work/client.log"
        grep -q 'Verify return code: 0' "$work/client.log" || status=1
    done
    stop "$server"
    return "$status"
}
refuses_a_wrong_pin() {
    refuses . with_provider dgst -sha256 -sign "pkcs11:token=$label;object=ec;type=private?pin-value=999999" -out "$work/no" "$work/text"
}
ip link set lo up 2>/dev/null || true
with_provider version
check "makes the token" makes_the_token
check "makes two keys and reads them through the provider" makes_keys
check "signs with RSA" signs rsa
check "signs with RSA-PSS" signs rsa -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
check "signs with ECDSA" signs ec
check "decrypts with RSA PKCS#1" decrypts
check "decrypts with RSA OAEP" decrypts -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256
check "derives with ECDH" derives
check "signs a certificate with RSA" makes_a_certificate rsa
check "signs a certificate with ECDSA" makes_a_certificate ec
check "serves TLS 1.2 with RSA" shakes_hands tls1_2 rsa 4431
check "serves TLS 1.3 with RSA" shakes_hands tls1_3 rsa 4432
check "serves TLS 1.2 with EC" shakes_hands tls1_2 ec 4433
check "serves TLS 1.3 with EC" shakes_hands tls1_3 ec 4434
check "makes a key by the provider" makes_a_key_itself
check "refuses a wrong PIN" refuses_a_wrong_pin
finish
