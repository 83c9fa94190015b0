#!/usr/bin/env bash
# `hierarkey setup disk` with the real systemd-cryptenroll, on a volume in a file; what it enrolled then opens the volume's key.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:/usr/sbin:/sbin
# p11-kit reads the system's folders only, so that this script has its own in a mount namespace.
if [ -z "${IN_NAMESPACE:-}" ]; then
    if ! unshare --mount true 2>/dev/null; then
        printf 'skipped setup-disk: this user has no mount namespaces\n'
        exit 0
    fi
    IN_NAMESPACE=1 exec unshare --mount "$0" "$@"
fi
begin setup-disk cryptsetup systemd-cryptenroll mount swtpm
hierarkey=${MODULE%/*}/hierarkey
modules=/usr/share/p11-kit/modules
mkdir "$work/modules"
printf 'module: %s\n' "$MODULE" >"$work/modules/hierarkey.module"
mount --make-rprivate /
mount --bind "$work/modules" "$modules"
printf '%s\n' "$so_pin" >"$work/so-pin"
printf '%s\n' "$user_pin" >"$work/pin"

makes_a_volume() {
    truncate -s 20M "$work/volume"
    printf secret | cryptsetup luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 -q "$work/volume" -
    "$hierarkey" token init --label "$label" --so-pin-file "$work/so-pin" --pin-file "$work/pin"
}
setup() { "$hierarkey" setup disk "$work/volume" --crypttab "$work/crypttab" --pin-file "$work/pin" "$@"; }
enrols_it() {
    # systemd-cryptenroll takes what a person would type from these two.
    PASSWORD=secret PIN=$user_pin setup --yes
    cryptsetup luksDump "$work/volume" | grep -q systemd-pkcs11
    grep -q ' none pkcs11-uri=auto$' "$work/crypttab"
}
has_nothing_left_to_do() { says 'nothing is left to do' setup --yes; }
# The volume's token decrypts to a passphrase that the volume takes.
opens_it() {
    cryptsetup token export --token-id 0 "$work/volume" >"$work/token.json"
    sed -E 's/.*"pkcs11-key":"([^"]*)".*/\1/' "$work/token.json" | tr -d '\\' | base64 -d >"$work/encrypted"
    as_user --decrypt --mechanism RSA-PKCS --label disk --input-file "$work/encrypted" --output-file "$work/key"
    # systemd takes the base64 of what was decrypted for the passphrase.
    base64 -w 0 <"$work/key" >"$work/passphrase"
    cryptsetup open --test-passphrase --key-slot 1 --key-file "$work/passphrase" "$work/volume"
}

check "makes a volume and a token" makes_a_volume
check "enrols the token's key in the volume" enrols_it
check "has nothing left to do then" has_nothing_left_to_do
check "opens the volume with what was enrolled" opens_it
finish
