#!/usr/bin/env bash
# Go's crypto11 as docs/languages.md has it: a TLS server whose key is in the token, called by eight goroutines that sign beside it.
# crypto11 is Debian's package of its source, on Debian's package of miekg/pkcs11: no module proxy is asked.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"
begin go go openssl pkcs11-tool swtpm cc
label=laptop
version "$(go version | cut -d' ' -f3), crypto11 $(dpkg-query -W -f '${Version}' golang-github-thalesignite-crypto11-dev), miekg/pkcs11 $(dpkg-query -W -f '${Version}' golang-github-miekg-pkcs11-dev)"
printf '%s\n' "$user_pin" >"$work/pin"
chmod 0600 "$work/pin"
export GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS='' GOCACHE=${CARGO_TARGET_DIR:-$root/target}/clients/go

builds() {
    mkdir -p "$work/server"
    page languages go >"$work/server/main.go"
    go vet "$work/server/main.go"
    go build -o "$work/served" "$work/server/main.go"
    go build -o "$work/load" "$rig/clients/go/load.go"
}
# crypto11 looks for the public half with the same ID.
makes_a_key() { make_key EC:prime256v1 02 web --usage-sign; }
start_server() {
    port=$(free_port)
    (
        cd "$work"
        module=$MODULE exec ./served "127.0.0.1:$port"
    ) >"$work/server.log" 2>&1 </dev/null &
    started+=($!)
    within 20 listening "$port" || true
}
# shakes_hands VERSION
shakes_hands() {
    cat "$work/server.log"
    openssl x509 -inform DER -in "$work/served.der" -out "$work/served.crt"
    says 'Verify return code: 0 \(ok\)' openssl s_client -connect "127.0.0.1:$port" "-$1" -CAfile "$work/served.crt" -verify_return_error
}
is_called_by_many() {
    cd "$work"
    module=$MODULE says '64 handshakes' timeout 300 ./load "localhost:$port" || { cat "$work/server.log"; return 1; }
}
refuses_a_wrong_pin() {
    mkdir -p "$work/wrong"
    printf '999999\n' >"$work/wrong/pin"
    cd "$work/wrong"
    module=$MODULE refuses 'CKR_PIN_INCORRECT' ../served 127.0.0.1:1
}
silent_without_a_tpm() {
    cd "$work"
    module=$MODULE without_tpm '^[0-9/]+ [0-9:]+ could not find PKCS#11 token$' ./served 127.0.0.1:1
}

check "makes a token" make_token
check "makes a P-256 key" makes_a_key
check "the page's program is built" builds
start_server
check "serves TLS 1.3" shakes_hands tls1_3
check "serves TLS 1.2" shakes_hands tls1_2
check "eight goroutines call it, and sign with EC and RSA keys of their own" is_called_by_many
check "refuses a wrong PIN" refuses_a_wrong_pin
check "says nothing of ours without a TPM" silent_without_a_tpm
finish
