#!/usr/bin/env bash
# OpenSSL's pkcs11 engine (libp11): requests, certificates, signatures and a TLS handshake.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
begin openssl-engine openssl pkcs11-tool swtpm
export PKCS11_MODULE_PATH=$MODULE
unset OPENSSL_CONF

# The key's URI as the engine takes it.
key() { printf 'pkcs11:token=%s;object=%s;type=private?pin-value=%s' "$label" "$1" "$user_pin"; }
engine=(-engine pkcs11 -keyform engine)

makes_keys() {
    make_key rsa:2048 01 rsa --usage-sign --usage-decrypt
    make_key EC:prime256v1 02 p256 --usage-sign
    local id
    for id in 01:rsa 02:p256; do
        export_public "${id%:*}" "$work/${id#*:}.pem"
    done
}
finds_the_engine() { says 'available' openssl engine -t pkcs11; }

requests_a_certificate() {
    openssl req -new "${engine[@]}" -key "$(key "$1")" -subj "/CN=$1" -sha256 -out "$work/$1.csr"
    says 'self-signature verify OK|verify OK' openssl req -in "$work/$1.csr" -noout -verify
    # It asks for the key that the token has, not for another.
    openssl req -in "$work/$1.csr" -noout -pubkey | openssl pkey -pubin -outform DER -out "$work/asked.der"
    openssl pkey -pubin -in "$work/$1.pem" -outform DER -out "$work/had.der"
    cmp "$work/asked.der" "$work/had.der"
}
signs_itself_a_certificate() {
    openssl req -x509 "${engine[@]}" -key "$(key "$1")" -subj "/CN=$1" -days 30 -sha256 -out "$work/$1.crt"
    says "$1.crt: OK" openssl verify -CAfile "$work/$1.crt" "$work/$1.crt"
}
# signs KEY HASH "OPTIONS"
signs() {
    printf 'a text\n' >"$work/text"
    # shellcheck disable=SC2086 # a list of options
    openssl dgst "${engine[@]}" "-$2" $3 -sign "$(key "$1")" -out "$work/signature" "$work/text"
    # shellcheck disable=SC2086
    says 'Verified OK' openssl dgst "-$2" $3 -verify "$work/$1.pem" -signature "$work/signature" "$work/text"
}
decrypts() {
    printf 'a secret' >"$work/secret"
    openssl pkeyutl -encrypt -pubin -inkey "$work/rsa.pem" -in "$work/secret" -out "$work/encrypted"
    openssl pkeyutl -decrypt "${engine[@]}" -inkey "$(key rsa)" -in "$work/encrypted" -out "$work/decrypted"
    cmp "$work/secret" "$work/decrypted"
}
refuses_a_wrong_pin() {
    refuses 'PIN|Login|login' openssl dgst "${engine[@]}" -sha256 \
        -sign "pkcs11:token=$label;object=rsa;type=private?pin-value=999999" -out "$work/signature" "$work/text"
}

# The engine does all of the process's RSA and EC then: a module that used OpenSSL itself would call itself.
signs_where_the_engine_is_the_default() {
    cat >"$work/openssl.cnf" <<END
openssl_conf = all
[all]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
MODULE_PATH = $MODULE
default_algorithms = ALL
init = 1
END
    says 'pkcs11' env OPENSSL_CONF="$work/openssl.cnf" openssl engine
    printf 'a text\n' >"$work/text"
    OPENSSL_CONF=$work/openssl.cnf openssl dgst -engine pkcs11 -keyform engine -sha256 \
        -sign "$(key "$1")" -out "$work/signature" "$work/text"
    says 'Verified OK' openssl dgst -sha256 -verify "$work/$1.pem" -signature "$work/signature" "$work/text"
}

# shakes_hands VERSION KEY: a server whose key is in the token, and a client that verifies it.
shakes_hands() {
    local port tries=4 server status=0
    while [ "$tries" -gt 0 ]; do
        tries=$((tries - 1))
        port=$((20000 + RANDOM % 20000))
        openssl s_server "${engine[@]}" -key "$(key "$2")" -cert "$work/$2.crt" -accept "127.0.0.1:$port" \
            "-$1" -naccept 1 -quiet >"$work/server.log" 2>&1 </dev/null &
        server=$!
        within 5 openssl_answers "$server" "$port" && break
        stop "$server"
    done
    openssl s_client -connect "127.0.0.1:$port" "-$1" -CAfile "$work/$2.crt" -verify_return_error \
        </dev/null >"$work/client.log" 2>&1 || status=$?
    stop "$server"
    cat "$work/server.log" "$work/client.log"
    [ "$status" = 0 ]
    grep -q 'Verify return code: 0 (ok)' "$work/client.log"
}
# Whether the server listens, seen without connecting: it takes one connection only.
openssl_answers() {
    kill -0 "$1" && awk -v port="$(printf ':%04X' "$2")" '$2 ~ port "$" && $4 == "0A" { found = 1 } END { exit !found }' /proc/net/tcp
}

check "makes a token" make_token
check "makes an RSA and a P-256 key" makes_keys
check "finds the engine" finds_the_engine
check "requests a certificate with the RSA key" requests_a_certificate rsa
check "requests a certificate with the P-256 key" requests_a_certificate p256
check "signs a certificate with the RSA key" signs_itself_a_certificate rsa
check "signs a certificate with the P-256 key" signs_itself_a_certificate p256
check "signs with RSA and SHA-256" signs rsa sha256 ""
check "signs with RSA and SHA-512" signs rsa sha512 ""
check "signs with RSA-PSS" signs rsa sha256 "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32"
check "signs with ECDSA" signs p256 sha256 ""
check "signs with RSA where the engine is the default" signs_where_the_engine_is_the_default rsa
check "signs with ECDSA where the engine is the default" signs_where_the_engine_is_the_default p256
check "decrypts with RSA" decrypts
check "refuses a wrong PIN" refuses_a_wrong_pin
check "serves TLS 1.3 with the RSA key" shakes_hands tls1_3 rsa
check "serves TLS 1.2 with the RSA key" shakes_hands tls1_2 rsa
check "serves TLS 1.3 with the P-256 key" shakes_hands tls1_3 p256
finish
