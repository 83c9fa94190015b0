#!/usr/bin/env bash
# OpenSSL's pkcs11 engine (libp11): requests, certificates, signatures and TLS handshakes, those of docs/openssl.md among them.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"
begin openssl-engine openssl pkcs11-tool swtpm
export PKCS11_MODULE_PATH=$MODULE
unset OPENSSL_CONF
label=laptop
version "$(openssl version | cut -d' ' -f1,2), libp11 $(dpkg-query -W -f '${Version}' libengine-pkcs11-openssl 2>/dev/null || echo unknown)"
printf '%s' "$user_pin" >"$work/pin"
chmod 0600 "$work/pin"
printf 'a document\n' >"$work/document"

# The key's URI as the engine takes it.
key() { printf 'pkcs11:token=%s;object=%s;type=private?pin-value=%s' "$label" "$1" "$user_pin"; }
engine=(-engine pkcs11 -keyform engine)

makes_keys() {
    make_key rsa:2048 0a rsa --usage-sign --usage-decrypt
    make_key EC:prime256v1 0b p256 --usage-sign
    local id
    for id in 0a:rsa 0b:p256; do
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

# shakes_hands VERSION KEY: a server whose key is in the token, and a client that verifies it.
shakes_hands() {
    local port tries=4 server status=0
    while [ "$tries" -gt 0 ]; do
        tries=$((tries - 1))
        port=$(free_port)
        openssl s_server "${engine[@]}" -key "$(key "$2")" -cert "$work/$2.crt" -accept "127.0.0.1:$port" \
            "-$1" -naccept 1 -quiet >"$work/server.log" 2>&1 </dev/null &
        server=$!
        within 10 listening "$port" && break
        stop "$server"
    done
    openssl s_client -connect "127.0.0.1:$port" "-$1" -CAfile "$work/$2.crt" -verify_return_error \
        </dev/null >"$work/client.log" 2>&1 || status=$?
    stop "$server"
    cat "$work/server.log" "$work/client.log"
    [ "$status" = 0 ]
    grep -q 'Verify return code: 0 (ok)' "$work/client.log"
}

# A client whose own key is in the token too.
answers_with_a_key() {
    port=$(free_port)
    [ -e "$work/no-end" ] || mkfifo "$work/no-end" # a server ends with its input
    openssl s_server "${engine[@]}" -key "$(key web)" -cert "$work/web.crt" -CAfile "$work/authority.crt" -Verify 1 \
        -verify_return_error -accept "127.0.0.1:$port" "-$1" -naccept 1 >"$work/server.log" 2>&1 <>"$work/no-end" &
    server=$!
    within 10 listening "$port"
    status=0
    printf 'a greeting\nQ\n' | openssl s_client "${engine[@]}" -key "$(key alice)" -cert "$work/alice.crt" -connect "127.0.0.1:$port" "-$1" \
        -CAfile "$work/authority.crt" -verify_return_error >"$work/client.log" 2>&1 || status=$?
    within 5 grep -q 'a greeting' "$work/server.log" || true
    stop "$server"
    cat "$work/server.log" "$work/client.log"
    [ "$status" = 0 ]
    grep -q 'a greeting' "$work/server.log"
    grep -qE 'subject=.*CN = alice' "$work/server.log"
}

# The page's words.
makes_a_request() {
    says 'available' follow openssl engine
    says 'self-signature verify OK|verify OK' follow openssl request
}
is_an_authority() {
    says 'web.crt: OK' follow openssl authority
    openssl x509 -in "$work/web.crt" -noout -ext subjectAltName | grep -q 'DNS:localhost'
    openssl req -new "${engine[@]}" -key "$(key alice)" -subj /CN=alice -out "$work/alice.csr"
    openssl x509 -req -in "$work/alice.csr" -days 30 -engine pkcs11 -CA "$work/authority.crt" -CAkeyform engine \
        -CAkey "$(key authority)" -CAcreateserial -out "$work/alice.crt"
}
keeps_a_register() {
    follow openssl register
    says 'registered.crt: OK' openssl verify -CAfile "$work/authority.crt" "$work/registered.crt"
    refuses 'certificate revoked' openssl verify -CAfile "$work/authority.crt" -crl_check -CRLfile "$work/revoked.crl" "$work/registered.crt"
}
signs_by_the_page() { says 'Verified OK' follow openssl sign; }
is_configured() { says 'pkcs11' follow openssl configuration; }
is_the_default() { says 'Verified OK' follow openssl default-engine; }
# Keys in files are used by the same process: the engine passes them on.
is_the_default_of_file_keys() {
    local option
    for option in rsa_keygen_bits:2048 ec_paramgen_curve:P-256; do
        openssl genpkey -algorithm "${option%%_*}" -pkeyopt "$option" -out "$work/file.key"
        openssl pkey -in "$work/file.key" -pubout -out "$work/file.pem"
        OPENSSL_CONF=$work/default.cnf openssl dgst -sha256 -sign "$work/file.key" -out "$work/signature" "$work/document"
        says 'Verified OK' openssl dgst -sha256 -verify "$work/file.pem" -signature "$work/signature" "$work/document"
    done
}
requests_as_the_default() {
    OPENSSL_CONF=$work/default.cnf openssl req -new "${engine[@]}" -key "$(key "$1")" -subj "/CN=$1" -out "$work/default.csr"
    says 'verify OK' openssl req -in "$work/default.csr" -noout -verify
}
as_the_default() { OPENSSL_CONF=$work/default.cnf "$@"; }
# Four processes at once, each with a login of its own.
signs_in_parallel() {
    local pids=() n
    for n in 1 2 3 4; do
        for _ in 1 2 3 4 5; do
            openssl dgst "${engine[@]}" -sha256 -sign "$(key p256)" -out "$work/parallel.$n" "$work/text" || exit 1
        done &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n"; done
    for n in 1 2 3 4; do
        says 'Verified OK' openssl dgst -sha256 -verify "$work/p256.pem" -signature "$work/parallel.$n" "$work/text"
    done
}

# What remains are the engine's and openssl's own words.
silent_without_a_tpm() {
    without_tpm '^(Engine "pkcs11" set\.|No tokens? found\.?|No matching initialized token was found for private key|The private key was not found.*|PKCS11_get_private_key returned NULL|Could not read .*|[0-9A-F]+:error:.*|Unable to load .*|unable to load .*|cannot load .*|Failed to enumerate slots|Unable to enumerate slots.*|)$' \
        openssl dgst "${engine[@]}" -sha256 -sign "$(key rsa)" -out "$work/signature" "$work/text"
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
check "signs with RSA-PSS and SHA-256" signs rsa sha256 "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32"
check "signs with RSA-PSS and SHA-384" signs rsa sha384 "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:48"
check "signs with RSA-PSS and SHA-512" signs rsa sha512 "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:64"
check "signs with ECDSA" signs p256 sha256 ""
check "decrypts with RSA" decrypts
check "signs in four processes at once" signs_in_parallel
check "makes the page's keys" follow openssl keys
check "requests a certificate by the page" makes_a_request
check "certifies as an authority" is_an_authority
check "keeps a register, and revokes" keeps_a_register
check "signs with RSA-PSS by the page" signs_by_the_page
check "is initialised by configuration" is_configured
check "signs where the engine is the process's default" is_the_default
check "signs with keys in files where it is the default" is_the_default_of_file_keys
check "requests with RSA where it is the default" requests_as_the_default rsa
check "requests with ECDSA where it is the default" requests_as_the_default p256
check "serves and answers TLS 1.3, both keys in the token" answers_with_a_key tls1_3
check "serves and answers TLS 1.2, both keys in the token" answers_with_a_key tls1_2
check "serves and answers TLS 1.3 where the engine is the default" as_the_default answers_with_a_key tls1_3
check "refuses a wrong PIN" refuses_a_wrong_pin
check "serves TLS 1.3 with the RSA key" shakes_hands tls1_3 rsa
check "serves TLS 1.2 with the RSA key" shakes_hands tls1_2 rsa
check "serves TLS 1.3 with the P-256 key" shakes_hands tls1_3 p256
check "says nothing of ours without a TPM" silent_without_a_tpm
finish
