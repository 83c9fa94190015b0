# shellcheck shell=bash
# What the scenarios about disks share: the page's steps, and a volume to take them on. Sourced after lib.sh.
# shellcheck disable=SC2154 # lib.sh and the checks' library set boot, volume, user_pin, so_pin

export DEVICE=$volume
unit=systemd-cryptsetup@private

has_pins() {
    install -d -m 0700 /run/disk
    printf '%s\n' "$user_pin" >/run/disk/pin
    printf '%s\n' "$so_pin" >/run/disk/so-pin
    printf 'an old passphrase' >/run/disk/passphrase
}
makes_the_token() {
    has_pins
    page disk.md store
    page disk.md log
    page disk.md token
}
makes_a_volume() {
    # Its passphrase is not what is tested: it may be found in little time.
    cryptsetup luksFormat --batch-mode --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$DEVICE" /run/disk/passphrase
}
# enrols BLOCK: by the page's block, and the volume's header then has our token.
enrols() {
    page disk.md "$1" PASSWORD="$(cat /run/disk/passphrase)"
    systemd-cryptenroll "$DEVICE"
    says '"pkcs11-uri":"pkcs11:.*token=disk' cryptsetup luksDump --dump-json-metadata "$DEVICE"
}
lists_the_token() { says '^pkcs11:.*token=disk +disk ' page disk.md list; }
# Writes to the volume what is to be found there after a power cycle.
writes_to_the_volume() {
    cryptsetup open --key-file /run/disk/passphrase "$DEVICE" made
    printf 'kept in the volume' | dd of=/dev/mapper/made conv=fsync status=none
    cryptsetup close made
}
is_open() {
    systemctl is-active "$unit.service"
    journalctl --quiet --boot --no-pager --unit "$unit"
    [ "$(head -c 18 /dev/mapper/private)" = 'kept in the volume' ]
}
# The unit's and the module's lines of this boot.
said() { says "$1" journalctl --quiet --boot --no-pager --output cat --unit "$unit"; }
opened_by_the_token() { said "Successfully logged into security token 'disk'" && is_open; }
