#!/usr/bin/env bash
# GnuTLS as docs/gnutls.md has it: keys and certificates by p11tool and certtool, a server and a client that both have theirs in
# the token.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"
begin gnutls p11tool certtool gnutls-serv gnutls-cli openssl pkcs11-tool swtpm
label=laptop
version "$(gnutls-serv --version | sed 1q), p11-kit $(dpkg-query -W -f '${Version}' libp11-kit0 2>/dev/null || echo unknown)"
printf '%s' "$user_pin" >"$work/pin"
chmod 0600 "$work/pin"

# A TPM without a token has one slot with an empty one: nothing in it is a reason to stop.
shows_an_empty_token() { says '^pkcs11:' follow gnutls tokens; }
shows_the_token() {
    says "token=$label" follow gnutls tokens
    cp "$work/says.out" "$work/urls"
    # Fields are padded with spaces, which a URI leaves out; a NUL would stand in it as %00.
    lacks '%00' "$work/urls"
    [ "$(grep -c '^pkcs11:' "$work/urls")" = 1 ]
}
has_a_serial_of_its_own() {
    printf '%s' "$so_pin" >"$work/so-pin"
    "${MODULE%/*}/hierarkey" token init --slot null --label another --so-pin-file "$work/so-pin" --pin-file "$work/pin"
    follow gnutls tokens >"$work/both"
    cat "$work/both"
    [ "$(grep -o 'serial=[^;]*' "$work/both" | sort -u | wc -l)" = 2 ]
    # And the first one's is what it was.
    grep -qxFf "$work/urls" "$work/both"
    lacks '%00' "$work/both"
}
makes_keys() {
    follow gnutls keys
    openssl pkey -pubin -in "$work/web.pub" -noout -text | grep -q 'P-256'
    openssl pkey -pubin -in "$work/mail.pub" -noout -text | grep -q '2048 bit'
}
makes_certificates() {
    follow gnutls certificates
    says 'web.crt: OK' openssl verify -CAfile "$work/web.crt" "$work/web.crt"
    says 'mail.crt: OK' openssl verify -CAfile "$work/mail.crt" "$work/mail.crt"
}
changes_a_label() {
    GNUTLS_PIN=$user_pin p11tool --provider "$MODULE" --login --set-label=renamed "pkcs11:token=$label;object=mail;type=cert"
    says 'object=renamed;type=cert' env GNUTLS_PIN="$user_pin" p11tool --provider "$MODULE" --login --list-all "pkcs11:token=$label"
    GNUTLS_PIN=$user_pin p11tool --provider "$MODULE" --login --set-label=mail "pkcs11:token=$label;object=renamed;type=cert"
}

# start_server PRIORITY: not within a check, for it is this script's own child.
start_server() {
    priority=$1
    port=$(free_port)
    export priority port
    serve gnutls server "$work/server.log"
    within 10 listening "$port" || true
}
# shakes_hands CIPHER-SUITE-PATTERN
shakes_hands() {
    follow gnutls client >"$work/client.log" 2>&1 || { cat "$work/server.log" "$work/client.log"; return 1; }
    cat "$work/client.log"
    grep -qE "^- Description: $1" "$work/client.log"
    grep -q 'Handshake was completed' "$work/client.log"
    # The server's page says who the client is.
    grep -q 'X.509' "$work/client.log"
}
# Each handshake is two signatures, and what GnuTLS asks C_Sign for the length is none.
signs_once_each() {
    local before
    before=$(tpm_commands)
    follow gnutls client >"$work/client.log" 2>&1
    tpm_commands_since "$before" | sort | uniq -c
    [ "$(tpm_commands_since "$before" | grep -c '^TPM2_Sign$\|^TPM2_RSA_Decrypt$')" = 2 ]
}
shakes_many_hands() {
    local pids=() n
    for n in 1 2 3 4 5 6 7 8; do
        follow gnutls client >"$work/client.$n" 2>&1 &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || { cat "$work"/client.? "$work/server.log"; return 1; }; done
    [ "$(cat "$work"/client.? | grep -c 'Handshake was completed')" = 8 ]
}
refuses_a_wrong_pin() {
    refuses 'PIN' env GNUTLS_PIN=999999 p11tool --provider "$MODULE" --batch --login --list-all "pkcs11:token=$label"
    lacks 'hierarkey::|tcti|unseal' "$work/says.out"
    # And the token says that a try was lost.
    says 'user PIN count low' tool --list-token-slots
}
silent_without_a_tpm() {
    without_tpm '^(warning: no token URL was provided.*|)$' p11tool --provider "$MODULE" --list-tokens
}

check "shows the slot before it has a token" shows_an_empty_token
check "makes a token" make_token
check "shows the token by a URI without NULs" shows_the_token
if [ "$kind" = hierarkey ]; then
    check "another token has another serial number" has_a_serial_of_its_own
fi
check "makes the page's keys" makes_keys
check "makes certificates, and keeps them in the token" makes_certificates
check "changes the label of a certificate" changes_a_label
start_server NORMAL:-VERS-ALL:+VERS-TLS1.3
check "serves and answers TLS 1.3, both keys in the token" shakes_hands '\(TLS1.3'
if [ "$kind" = hierarkey ]; then
    check "signs twice for a handshake of two" signs_once_each
fi
check "serves eight clients at once" shakes_many_hands
stop "$server"
start_server NORMAL:-VERS-ALL:+VERS-TLS1.2
check "serves and answers TLS 1.2, both keys in the token" shakes_hands '\(TLS1.2'
stop "$server"
check "refuses a wrong PIN" refuses_a_wrong_pin
check "says nothing of ours without a TPM" silent_without_a_tpm
finish
