# shellcheck shell=bash
# A root file system on a volume: what the scenarios about it share. Sourced after disk.sh.
# shellcheck disable=SC2154 # lib.sh and disk.sh set what is used here

DEVICE=/dev/vdc
release=$(uname -r)
# Where the root is while this one still runs.
new_root=/run/new

# root_opens_by rsa|ec: the page's token, such a key in it, a volume that it opens, and this root moved there.
root_opens_by() {
    makes_the_token
    page disk.md "$1"
    [ "$1" = ec ] || page disk.md certificate >/dev/null
    makes_a_volume
    page disk.md enrol PASSWORD="$(cat /run/disk/passphrase)"
    moves_to_the_volume
}
# Copies this root to the volume, and leaves it mounted.
moves_the_root() {
    cryptsetup open --key-file /run/disk/passphrase "$DEVICE" root
    mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 /dev/mapper/root
    mkdir -p "$new_root"
    mount /dev/mapper/root "$new_root"
    cp -axT / "$new_root"
    printf '/dev/mapper/root / ext4 defaults,noatime 0 0\n' >"$new_root/etc/fstab"
}
leaves_the_root() {
    umount --recursive "$new_root"
    cryptsetup close root
}
# in_new_root COMMAND...: as in the system that is going to be booted from there.
in_new_root() {
    local folder
    for folder in /proc /sys /dev /run; do
        mountpoint -q "$new_root$folder" || mount --bind "$folder" "$new_root$folder"
    done
    chroot "$new_root" env DEVICE="$DEVICE" "$@"
}
# holds LIST PATTERN...: each is the name of something in the RAM disk.
holds() {
    local list=$1 pattern
    shift
    for pattern in "$@"; do
        grep -qE -e "$pattern" "$list" || { printf 'it lacks %s\n' "$pattern"; return 1; }
    done
}
runs_from_the_volume() {
    says '^/dev/mapper/root$' findmnt --noheadings --output SOURCE /
    cryptsetup status root
}
