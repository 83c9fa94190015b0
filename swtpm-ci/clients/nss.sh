#!/usr/bin/env bash
# NSS as docs/nss.md has it: its database learns of the module; RSA and EC keys, certificates and requests; mail signed and decrypted.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"
begin nss certutil modutil cmsutil openssl pkcs11-tool swtpm
label=laptop
version "NSS $(dpkg-query -W -f '${Version}' libnss3-tools 2>/dev/null || echo unknown)"
printf '%s\n' "$user_pin" >"$work/pin"
chmod 0600 "$work/pin"
db=sql:$work/nssdb

knows_the_module() {
    says 'TPM 2.0 owner hierarchy' follow nss module
    grep -qE "token: *$label" "$work/says.out"
}
makes_certificates() {
    follow nss self-signed >"$work/made" 2>&1 || { cat "$work/made"; return 1; }
    cat "$work/made"
    grep -q "$label:authority" "$work/made"
    grep -q "$label:mail" "$work/made"
    grep -qE '< 0> ec ' "$work/made"
    grep -qE '< 1> rsa |< 0> rsa ' "$work/made"
}
signs_a_request() {
    follow nss request >"$work/made" 2>&1 || { cat "$work/made"; return 1; }
    cat "$work/made"
    says 'verify OK' openssl req -in "$work/web.csr" -noout -verify
    certutil -L -d "$db" -h "$label" -f "$work/pin" -n "$label:authority" -a >"$work/authority.crt"
    says 'web.crt: OK' openssl verify -CAfile "$work/authority.crt" "$work/web.crt"
}
# NSS names a key by a hash of its public half, which it sets after the key was made; the certificate gets the same ID.
finds_the_key_of_a_certificate() {
    certutil -K -d "$db" -h "$label" -f "$work/pin" >"$work/keys"
    cat "$work/keys"
    [ "$(grep -cE "NSS Certificate DB|$label:(authority|mail|web)" "$work/keys")" -ge 3 ]
    lacks 'orphan' "$work/keys"
}
# One EC key of NSS's both signs and derives: its template asks for both.
makes_an_ec_key_that_derives() {
    as_user --list-objects --type privkey >"$work/private"
    cat "$work/private"
    grep -A3 'EC' "$work/private" | grep -q 'Usage:.*sign.*derive'
}
# What CKA_DERIVE promises the TPM does: a shared secret, the same as OpenSSL's.
derives_with_it() {
    local id
    id=$(sed -n 's/^< *0> ec *\([0-9a-f]*\) .*/\1/p' "$work/keys")
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/peer.key"
    openssl pkey -in "$work/peer.key" -pubout -outform DER -out "$work/peer.der"
    as_user --derive --mechanism ECDH1-DERIVE --id "$id" --input-file "$work/peer.der" --output-file "$work/secret"
    openssl x509 -in "$work/authority.crt" -noout -pubkey -out "$work/authority.pem"
    openssl pkeyutl -derive -inkey "$work/peer.key" -peerkey "$work/authority.pem" -out "$work/secret.openssl"
    cmp "$work/secret" "$work/secret.openssl"
}
signs_mail() {
    printf 'Dear Bob,\n\nall is well.\n' >"$work/letter"
    follow nss sign
    cmp "$work/letter" "$work/letter.verified"
    # Another program reads the signature too.
    certutil -L -d "$db" -h "$label" -f "$work/pin" -n "$label:mail" -a >"$work/mail.crt"
    openssl cms -verify -inform DER -in "$work/letter.signed" -CAfile "$work/mail.crt" -purpose any -out "$work/letter.openssl"
    cmp "$work/letter" "$work/letter.openssl"
}
decrypts_mail() {
    follow nss encrypt
    cmp "$work/letter" "$work/letter.decrypted"
}
# As other programs send it: content keys of other kinds, wrapped by OpenSSL.
decrypts_what_openssl_encrypts() {
    openssl cms -encrypt "-$1" -binary -in "$work/letter" -outform DER -out "$work/letter.$1" "$work/mail.crt"
    rm -f "$work/letter.decrypted"
    cmsutil -D -d "$db" -f "$work/pin" -i "$work/letter.$1" -o "$work/letter.decrypted"
    cmp "$work/letter" "$work/letter.decrypted"
}
decrypts_in_parallel() {
    local pids=() n
    for n in 1 2 3 4; do
        for _ in 1 2 3; do
            cmsutil -D -d "$db" -f "$work/pin" -i "$work/letter.encrypted" -o "$work/parallel.$n" || exit 1
            cmp "$work/letter" "$work/parallel.$n" || exit 1
            certutil -K -d "$db" -h "$label" -f "$work/pin" >"$work/keys.$n" || exit 1
        done &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n"; done
}
# A slot without a token beside it: NSS opens a session on each, and none may stop it.
works_beside_empty_slots() {
    printf 'show_slots = ["endorsement", "platform", "null"]\n' >"$work/more.toml"
    cat "$work/hierarkey.toml" >>"$work/more.toml"
    chmod 0600 "$work/more.toml"
    HIERARKEY_CONF=$work/more.toml says "$label:mail" certutil -K -d "$db" -h all -f "$work/pin"
}
refuses_a_wrong_pin() {
    printf '999999\n' >"$work/wrong"
    refuses 'password|PIN' certutil -K -d "$db" -h "$label" -f "$work/wrong"
}
forgets_the_module() {
    modutil -dbdir "$db" -force -delete hierarkey
    refuses 'not found|No module|failed' modutil -dbdir "$db" -list hierarkey
}

check "makes a token" make_token
check "learns of the module" knows_the_module
check "makes self-signed certificates with an EC and an RSA key" makes_certificates
check "signs a request for an EC key, and keeps the certificate" signs_a_request
check "finds each certificate's key" finds_the_key_of_a_certificate
check "has EC keys that sign and derive" makes_an_ec_key_that_derives
check "derives with the EC key that it signs with" derives_with_it
check "signs mail with the RSA key" signs_mail
check "decrypts mail with the RSA key" decrypts_mail
check "decrypts what OpenSSL encrypted with AES-256" decrypts_what_openssl_encrypts aes256
check "decrypts what OpenSSL encrypted with triple DES" decrypts_what_openssl_encrypts des3
check "decrypts in four processes at once" decrypts_in_parallel
check "works beside slots without tokens" works_beside_empty_slots
check "refuses a wrong PIN" refuses_a_wrong_pin
check "says nothing of ours without a TPM" without_tpm '^(certutil: .*|Listing of PKCS .*|-+|\s*[0-9]+\. .*|\s*(library name|uri|slots|status|slot|token): .*|\s*)$' \
    modutil -dbdir "$db" -list
check "forgets the module" forgets_the_module
finish
