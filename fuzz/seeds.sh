#!/usr/bin/env bash
# Makes fuzz/seeds anew: files that other programs wrote, and the best of what the fuzzer found so far (fuzz/corpus).
# Needs openssl and ssh-keygen. Keep what it makes only if `FUZZ_SECONDS=0 fuzz/run.sh` covers more than before.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1
most=40 # inputs of a target that come from its corpus: the shortest of those that cover something

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
key_files=$made/key_files der=$made/der
mkdir -p "$key_files" "$der"

# Keys as files have them; the target's passphrase is "secret".
openssl ecparam -name prime256v1 -genkey -noout -out "$made/ec"
openssl genrsa -out "$made/rsa" 1024 2>/dev/null
for key in ec rsa; do
    openssl pkey -in "$made/$key" -traditional -outform der -out "$key_files/$key-traditional"
    openssl pkey -in "$made/$key" -traditional -out "$key_files/$key-traditional-pem"
    openssl pkcs8 -topk8 -nocrypt -in "$made/$key" -outform der -out "$key_files/$key-pkcs8"
    openssl pkcs8 -topk8 -iter 1 -v2 aes-256-cbc -passout pass:secret -in "$made/$key" -outform der -out "$key_files/$key-encrypted"
    openssl req -new -x509 -key "$made/$key" -subj /CN=fuzz -outform der -out "$key_files/$key-certificate"
    openssl req -new -x509 -key "$made/$key" -subj /CN=fuzz -out "$made/$key-certificate"
    openssl pkcs12 -export -inkey "$made/$key" -in "$made/$key-certificate" -iter 1 -maciter -passout pass:secret -out "$key_files/$key-pkcs12"
    type=${key/ec/ecdsa}
    ssh-keygen -q -t "$type" -N '' -C '' -f "$key_files/$key-openssh"
    ssh-keygen -q -t "$type" -a 1 -N secret -C '' -f "$key_files/$key-openssh-encrypted"
    rm "$key_files"/*.pub
done

# What the target der chooses by its first byte, and then reads.
with_choice() { # NAME CHOICE FILE
    { printf '%b' "$2"; cat "$3"; } >"$der/$1"
}
with_choice certificate '\x00' "$key_files/ec-certificate"
openssl asn1parse -genstr OID:prime256v1 -noout -out "$made/curve"
with_choice curve '\x01' "$made/curve"
with_choice point '\x02\x01' fuzz/fixtures/p256-point
with_choice ec '\x03' "$key_files/ec-pkcs8"
with_choice rsa '\x04' "$key_files/rsa-pkcs8"

for target in $(cargo fuzz list); do
    mkdir -p "fuzz/corpus/$target" "$made/$target" "$made/best"
    cargo fuzz run "$target" "$made/best" "fuzz/corpus/$target" -- -merge=1 >/dev/null 2>&1
    mapfile -t best < <(ls -rS "$made/best" | head -n "$most")
    for input in "${best[@]}"; do
        mv "$made/best/$input" "$made/$target/"
    done
    rm -rf "$made/best" "fuzz/seeds/$target"
    mkdir -p "fuzz/seeds/$target"
    cp "$made/$target"/* "fuzz/seeds/$target/"
done
