#!/usr/bin/env bash
# OpenSC's pkcs11-tool: a token's whole life, every mechanism checked with OpenSSL.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
begin pkcs11-tool pkcs11-tool openssl swtpm

printf 'The quick brown fox jumps over the lazy dog.\n' >"$work/data"
for hash in sha1 sha256 sha384 sha512; do
    openssl dgst "-$hash" -binary -out "$work/data.$hash" "$work/data"
done
# RFC 8017, 9.2: what stands before a SHA-256 digest in an EMSA-PKCS1-v1_5 block.
{
    printf '\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20'
    cat "$work/data.sha256"
} >"$work/digest_info"

shows_slots() { says 'Slot 0' tool --list-slots; }
shows_token() {
    says "token label +: $label" tool --list-slots
    says 'token flags.*login required.*rng.*token initialized.*PIN initialized' tool --list-slots
}
lists_mechanisms() {
    tool --list-mechanisms >"$work/mechanisms"
    cat "$work/mechanisms"
    local name
    for name in RSA-PKCS RSA-PKCS-PSS RSA-PKCS-OAEP RSA-PKCS-KEY-PAIR-GEN SHA256-RSA-PKCS ECDSA ECDSA-KEY-PAIR-GEN SHA256; do
        grep -qE "^ +$name," "$work/mechanisms" || { printf 'not listed: %s\n' "$name"; return 1; }
    done
}

# export_key ID: the public key as OpenSSL reads it.
export_key() {
    export_public "$1" "$work/$1.pem"
    openssl pkey -pubin -in "$work/$1.pem" -noout -text
}
make_and_export() {
    make_key "$@"
    export_key "$2"
}

# signs ID MECHANISM INPUT HASH "VERIFICATION OPTIONS" [OPTION...]: made by the token, verified by OpenSSL over the data.
signs() {
    local id=$1 mechanism=$2 input=$3 hash=$4 verify=$5
    shift 5
    rm -f "$work/signature"
    as_user --sign --id "$id" --mechanism "$mechanism" --input-file "$input" --output-file "$work/signature" "$@"
    # shellcheck disable=SC2086 # a list of options
    says 'Verified OK' openssl dgst "-$hash" $verify -verify "$work/$id.pem" -signature "$work/signature" "$work/data"
}
pss() { printf -- '-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:%s -sigopt rsa_mgf1_md:%s' "$1" "$2"; }

# A PKCS#1 block of our own, for the mechanism that pads nothing.
pads_nothing() {
    local bytes=256 padding
    padding=$((bytes - 3 - $(stat -c %s "$work/digest_info")))
    {
        printf '\x00\x01'
        head -c "$padding" /dev/zero | tr '\0' '\377'
        printf '\x00'
        cat "$work/digest_info"
    } >"$work/block"
    signs 01 RSA-X-509 "$work/block" sha256 ""
}

verifies() {
    as_user --sign --id "$1" --mechanism "$2" --input-file "$3" --output-file "$work/signature"
    says 'Signature is valid' on_token --verify --id "$1" --mechanism "$2" --input-file "$3" --signature-file "$work/signature"
    printf 'something else' >"$work/other"
    openssl dgst -sha256 -binary -out "$work/other.hash" "$work/other"
    local other=$work/other
    [ "$(stat -c %s "$3")" != 32 ] || other=$work/other.hash
    says 'Invalid signature' on_token --verify --id "$1" --mechanism "$2" --input-file "$other" --signature-file "$work/signature"
}

# decrypts MECHANISM "ENCRYPTION OPTIONS" [OPTION...]: what OpenSSL encrypts, the token decrypts.
decrypts() {
    local mechanism=$1 options=$2
    shift 2
    printf 'sixteen bytes, +' >"$work/secret"
    # shellcheck disable=SC2086 # a list of options
    openssl pkeyutl -encrypt -pubin -inkey "$work/01.pem" $options -in "$work/secret" -out "$work/encrypted"
    as_user --decrypt --id 01 --mechanism "$mechanism" --input-file "$work/encrypted" --output-file "$work/decrypted" "$@"
    cmp "$work/secret" "$work/decrypted"
}

stores_a_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ca.key" -out "$work/ca.pem" \
        -subj '/CN=issuer' -days 30
    openssl x509 -new -force_pubkey "$work/02.pem" -subj '/CN=subject' -CA "$work/ca.pem" -CAkey "$work/ca.key" \
        -days 30 -outform DER -out "$work/certificate"
    as_user --write-object "$work/certificate" --type cert --id 02 --label certificate
    # Without a login: clients look for certificates before they ask for a PIN.
    on_token --read-object --type cert --id 02 --output-file "$work/certificate.read"
    cmp "$work/certificate" "$work/certificate.read"
    says 'subject: +DN: CN=subject' on_token --list-objects --type cert
}

stores_data() {
    as_user --write-object "$work/data" --type data --label notes --application-label tests
    as_user --read-object --type data --label notes --output-file "$work/data.read"
    cmp "$work/data" "$work/data.read"
    as_user --delete-object --type data --label notes
    refuses 'object not found' as_user --read-object --type data --label notes
}

hashes() {
    on_token --hash --mechanism "$1" --input-file "$work/data" --output-file "$work/hashed"
    cmp "$work/hashed" "$work/data.$2"
}

makes_random_bytes() {
    on_token --generate-random 100 --output-file "$work/random.1"
    on_token --generate-random 100 --output-file "$work/random.2"
    [ "$(stat -c %s "$work/random.1")" = 100 ]
    ! cmp -s "$work/random.1" "$work/random.2"
}

shows_objects() {
    as_user --list-objects >"$work/objects"
    cat "$work/objects"
    [ "$(grep -c '^Private Key Object; RSA' "$work/objects")" = 2 ]
    [ "$(grep -c '^Private Key Object; EC' "$work/objects")" = 3 ]
    grep -q 'Access: +sensitive, always sensitive, never extractable, local' -E "$work/objects"
}
hides_private_objects() {
    on_token --list-objects >"$work/objects"
    cat "$work/objects"
    grep -q '^Public Key Object' "$work/objects"
    ! grep -q '^Private Key Object' "$work/objects"
}

refuses_a_wrong_pin() {
    refuses CKR_PIN_INCORRECT on_token --login --pin 999999 --list-objects
    says 'Private Key Object' as_user --list-objects
}
changes_the_pin() {
    as_user --change-pin --new-pin 7654321
    refuses CKR_PIN_INCORRECT as_user --list-objects
    says 'Private Key Object' on_token --login --pin 7654321 --list-objects
    on_token --login --pin 7654321 --change-pin --new-pin "$user_pin"
}
officer_sets_the_pin() {
    on_token --login --login-type so --so-pin "$so_pin" --init-pin --pin 1029384756
    on_token --login --pin 1029384756 --sign --id 02 --mechanism ECDSA --input-file "$work/data.sha256" --output-file "$work/signature"
    on_token --login --login-type so --so-pin "$so_pin" --init-pin --pin "$user_pin"
}
# pkcs11-tool gives the PIN again after each C_SignInit or C_DecryptInit; the TPM is asked each time.
asks_for_the_pin() {
    local id=$1 type=$2 before
    shift 2
    make_key "$type" "$id" asks --always-auth "$@"
    export_key "$id"
    says 'Access: +always authenticate' as_user --list-objects --type privkey --id "$id"
    before=$(tpm_commands)
    if [ "$type" = rsa:2048 ]; then
        signs "$id" SHA256-RSA-PKCS "$work/data" sha256 ""
        signs "$id" RSA-PKCS "$work/digest_info" sha256 ""
    else
        signs "$id" ECDSA "$work/data.sha256" sha256 "" --signature-format openssl
        signs "$id" ECDSA "$work/data.sha512" sha512 "" --signature-format openssl
    fi
    if [ "$kind" != softhsm ]; then # which does not let a TPM check it
        [ "$(tpm_commands_since "$before" | grep -c '^TPM2_PolicySecret$')" = 2 ]
    fi
    as_user --delete-object --type privkey --id "$id"
    as_user --delete-object --type pubkey --id "$id"
}
tests_itself() { says '^No errors' as_user --test; }

# imports ID MECHANISM INPUT "GENPKEY OPTIONS" [OPTION...]: a key that OpenSSL made signs in the token.
imports() {
    local id=$1 mechanism=$2 input=$3 options=$4
    shift 4
    # shellcheck disable=SC2086 # a list of options
    openssl genpkey $options -outform DER -out "$work/$id.key"
    openssl pkey -inform DER -in "$work/$id.key" -pubout -out "$work/$id.pem"
    as_user --write-object "$work/$id.key" --type privkey --id "$id" --label imported --usage-sign
    signs "$id" "$mechanism" "$input" sha256 "" "$@"
}

destroys_a_key() {
    as_user --delete-object --type privkey --id 05
    as_user --delete-object --type pubkey --id 05
    refuses 'not found' as_user --sign --id 05 --mechanism ECDSA --input-file "$work/data.sha512" --output-file "$work/signature"
}

check "lists slots before there is a token" shows_slots
check "makes a token and sets its PINs" make_token
check "shows the token and its flags" shows_token
check "lists the mechanisms" lists_mechanisms
# The template says CKA_SIGN and nothing of CKA_DECRYPT and CKA_DERIVE: systemd and others look for keys by these.
signs_only() {
    local name
    as_user --list-objects --type privkey >"$work/private"
    cat "$work/private"
    for name in p256 rsa3072; do
        grep -A 2 "label: *$name\$" "$work/private" | grep -q 'Usage: *sign$'
    done
}

check "makes an RSA-2048 key pair" make_and_export rsa:2048 01 rsa --usage-sign --usage-decrypt
check "makes a P-256 key pair" make_and_export EC:prime256v1 02 p256 --usage-sign
check "makes an RSA-3072 key pair" make_and_export rsa:3072 03 rsa3072 --usage-sign
check "makes a P-384 key pair" make_and_export EC:secp384r1 04 p384 --usage-sign
check "makes a P-521 key pair" make_and_export EC:secp521r1 05 p521 --usage-sign
check "shows the objects to the user" shows_objects
check "hides private objects from everybody else" hides_private_objects

check "signs with RSA-PKCS" signs 01 RSA-PKCS "$work/digest_info" sha256 ""
check "signs with RSA-X-509" pads_nothing
for hash in 1 256 384 512; do
    check "signs with SHA$hash-RSA-PKCS" signs 01 "SHA$hash-RSA-PKCS" "$work/data" "sha$hash" ""
done
for hash in 256:32 384:48 512:64; do
    bits=${hash%:*} salt=${hash#*:}
    check "signs with RSA-PKCS-PSS and SHA-$bits" signs 01 RSA-PKCS-PSS "$work/data.sha$bits" "sha$bits" \
        "$(pss "$salt" "sha$bits")" --hash-algorithm "SHA$bits" --mgf "MGF1-SHA$bits" --salt-len "$salt"
    check "signs with SHA$bits-RSA-PKCS-PSS" signs 01 "SHA$bits-RSA-PKCS-PSS" "$work/data" "sha$bits" \
        "$(pss "$salt" "sha$bits")" --mgf "MGF1-SHA$bits" --salt-len "$salt"
done
check "signs with RSA-PKCS-PSS and a salt of 20" signs 01 RSA-PKCS-PSS "$work/data.sha256" sha256 \
    "$(pss 20 sha256)" --hash-algorithm SHA256 --mgf MGF1-SHA256 --salt-len 20
check "signs with RSA-3072" signs 03 SHA256-RSA-PKCS "$work/data" sha256 ""
check "signs with ECDSA on P-256" signs 02 ECDSA "$work/data.sha256" sha256 "" --signature-format openssl
check "signs with ECDSA on P-384" signs 04 ECDSA "$work/data.sha384" sha384 "" --signature-format openssl
check "signs with ECDSA on P-521" signs 05 ECDSA "$work/data.sha512" sha512 "" --signature-format openssl
check "signs a longer digest with ECDSA on P-256" signs 02 ECDSA "$work/data.sha512" sha512 "" --signature-format openssl
check "signs a SHA-1 digest with ECDSA on P-256" signs 02 ECDSA "$work/data.sha1" sha1 "" --signature-format openssl
if [ "$kind" != softhsm ]; then # it hashes for no ECDSA
    for hash in 256 384 512; do
        check "signs with ECDSA-SHA$hash" signs 02 "ECDSA-SHA$hash" "$work/data" "sha$hash" "" --signature-format openssl
    done
fi
check "verifies SHA256-RSA-PKCS" verifies 01 SHA256-RSA-PKCS "$work/data"
check "verifies ECDSA" verifies 02 ECDSA "$work/data.sha256"
check "decrypts RSA-PKCS" decrypts RSA-PKCS ""
check "decrypts RSA-PKCS-OAEP with SHA-1" decrypts RSA-PKCS-OAEP \
    "-pkeyopt rsa_padding_mode:oaep" --hash-algorithm SHA-1 --mgf MGF1-SHA1
if [ "$kind" != softhsm ]; then # it knows OAEP with SHA-1 only
    check "decrypts RSA-PKCS-OAEP with SHA-256" decrypts RSA-PKCS-OAEP \
        "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256" \
        --hash-algorithm SHA256 --mgf MGF1-SHA256
fi
check "hashes with SHA256" hashes SHA256 sha256
check "hashes with SHA512" hashes SHA512 sha512
check "makes random bytes" makes_random_bytes
check "stores a certificate and reads it without a login" stores_a_certificate
check "stores data, reads and deletes it" stores_data
check "brings in an RSA key and signs with it" imports 06 SHA256-RSA-PKCS "$work/data" \
    "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"
check "brings in an EC key and signs with it" imports 07 ECDSA "$work/data.sha256" \
    "-algorithm EC -pkeyopt ec_paramgen_curve:P-256" --signature-format openssl
check "destroys a key" destroys_a_key
check "asks for the PIN at each use of an EC key" asks_for_the_pin 08 EC:prime256v1 --usage-sign
check "asks for the PIN at each use of an RSA key" asks_for_the_pin 09 rsa:2048
check "refuses a wrong PIN" refuses_a_wrong_pin
check "changes the user's PIN" changes_the_pin
check "lets the security officer set the user's PIN" officer_sets_the_pin
check "makes no key that decrypts or derives where only signing was asked for" signs_only
check "says nothing of ours without a TPM" without_tpm '^(Available slots:|Slot .*|  \(empty\)|No slots\.?)$' tool --list-slots
if [ "$kind" != softhsm ]; then # it stops at OAEP with SHA-256
    check "passes pkcs11-tool's own tests" tests_itself
fi
finish
