#!/usr/bin/env bash
# `make demo`: a token in a TPM emulator of its own, two keys made in it, files signed with them and
# the signatures checked by OpenSSL, with the number of TPM commands that each step took.
#
# Nothing of it stays: TPM, store and files live in a temporary folder (KEEP=1 keeps it).
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

if [ -t 1 ]; then
    bold=$(tput bold 2>/dev/null || true) dim=$(tput dim 2>/dev/null || true) plain=$(tput sgr0 2>/dev/null || true)
else
    bold='' dim='' plain=''
fi

headings=0
heading() {
    headings=$((headings + 1))
    printf '\n%s%s. %s%s\n' "$bold" "$headings" "$*" "$plain"
}
note() { printf '   %s\n' "$*"; }

# run COMMAND...: shows the command as one would type it, runs it, shows what it says and what the
# TPM had to do for it.
run() {
    local before status=0 word line='' count
    for word in "$@"; do
        case "$word" in
            *[!A-Za-z0-9_./:=,-]*) word="'$word'" ;;
        esac
        line+=" ${word/#$MODULE/${MODULE##*/}}"
    done
    printf '   %s$%s%s\n' "$dim" "$line" "$plain"
    before=$(tpm_commands)
    "$@" >"$work/run.out" 2>&1 </dev/null || status=$?
    # Which slot was taken is said every time.
    grep -vE '^Using slot |^$|^Using signature algorithm' "$work/run.out" | sed 's/^/     /' || true
    if [ "$status" != 0 ]; then
        printf '   %sit failed with status %s%s\n' "$bold" "$status" "$plain"
        tail -n 20 "$work/module.log" | sed 's/^/     log: /'
        exit 1
    fi
    if [ "$1" = pkcs11-tool ]; then
        count=$(($(tpm_commands) - before))
        note "${dim}TPM commands: $count$(tpm_commands_since "$before" | summary)${plain}"
    fi
}
# Names on lines, as "  (Sign, 2 Load)".
summary() {
    sed 's/^TPM2_//' | sort | uniq -c | sort -k1,1nr -k2 |
        awk '{ printf "%s%s%s", NR == 1 ? "  (" : ", ", $1 == 1 ? "" : $1 " ", $2 } END { if (NR) print ")" }'
}

heading "Build the module"
if [ -z "${MODULE:-}" ]; then
    note "${dim}\$ cargo build --release --locked${plain}"
    cargo build --quiet --release --locked --lib </dev/null
    MODULE=${CARGO_TARGET_DIR:-$root/target}/release/libhierarkey.so
fi
find_module
note "$MODULE, $(stat -c %s "$MODULE" | awk '{ printf "%.1f MB", $1 / 1000000 }')"

heading "Start a TPM 2.0 emulator that nobody else uses"
start_tpm
if [ "$kind" = hierarkey ]; then
    note "$(swtpm --version | head -n 1)"
    note "HIERARKEY_TCTI=$HIERARKEY_TCTI"
    note "HIERARKEY_STORE=$HIERARKEY_STORE"
fi
cd "$work"
p11=(pkcs11-tool --module "$MODULE")
of_user=(--token-label demo --login --pin "$user_pin")

heading "Make a token in the owner hierarchy and set its PINs"
run "${p11[@]}" --slot-index 0 --init-token --label demo --so-pin "$so_pin"
run "${p11[@]}" --token-label demo --login --login-type so --so-pin "$so_pin" --init-pin --pin "$user_pin"

heading "Make an RSA-2048 and a P-256 key, inside the TPM"
run "${p11[@]}" "${of_user[@]}" --keypairgen --key-type rsa:2048 --id 01 --label rsa --usage-sign
run "${p11[@]}" "${of_user[@]}" --keypairgen --key-type EC:prime256v1 --id 02 --label p256 --usage-sign

heading "Look at the token and what is on it"
run "${p11[@]}" --list-token-slots
run "${p11[@]}" "${of_user[@]}" --list-objects

heading "Sign two files"
cp "$root/LICENSE-APACHE" first.txt
cp "$root/LICENSE-MIT" second.txt
run openssl dgst -sha256 -binary -out second.sha256 second.txt
run "${p11[@]}" "${of_user[@]}" --sign --id 01 --mechanism SHA256-RSA-PKCS --input-file first.txt --output-file first.sig
run "${p11[@]}" "${of_user[@]}" --sign --id 02 --mechanism ECDSA --signature-format openssl \
    --input-file second.sha256 --output-file second.sig

heading "Let OpenSSL check the signatures with the exported public keys"
run "${p11[@]}" --token-label demo --read-object --type pubkey --id 01 --output-file rsa.der
run p11tool --provider "$MODULE" --export 'pkcs11:token=demo;id=%02;type=public' --outfile p256.pem
run openssl dgst -sha256 -keyform DER -verify rsa.der -signature first.sig first.txt
run openssl dgst -sha256 -verify p256.pem -signature second.sig second.txt

heading "A wrong PIN is refused by the TPM"
printf '   %s$ pkcs11-tool ... --login --pin 999999 --list-objects%s\n' "$dim" "$plain"
if "${p11[@]}" --token-label demo --login --pin 999999 --list-objects >run.out 2>&1 </dev/null; then
    note "it was accepted"
    exit 1
fi
grep -o 'CKR_[A-Z_]*' run.out | head -n 1 | sed 's/^/     /'

total=$(tpm_commands)
if [ "$kind" != hierarkey ]; then
    printf '\n%sDone%s, with a module that is not Hierarkey.\n' "$bold" "$plain"
elif [ "$total" = 0 ]; then
    printf '\nNo TPM command was seen in %s: that is no demonstration.\n' "$work/module.log"
    exit 1
else
    printf '\n%sDone.%s The private keys never left the TPM; %s commands were sent to it.\n' "$bold" "$plain" "$total"
fi
