#!/usr/bin/env bash
# machine: bookworm
# The root file system on a volume that the initial RAM disk opens: made by dracut with our module.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. /rig/src/swtpm-ci/vm/lib.sh
# shellcheck source-path=SCRIPTDIR source=../disk.sh
. /rig/src/swtpm-ci/vm/disk.sh
DEVICE=/dev/vdc
release=$(uname -r)

moves_the_root() {
    cryptsetup open --key-file /run/disk/passphrase "$DEVICE" root
    mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 /dev/mapper/root
    mkdir -p /run/new
    mount /dev/mapper/root /run/new
    cp -axT / /run/new
    printf '/dev/mapper/root / ext4 defaults,noatime 0 0\n' >/run/new/etc/fstab
    umount /run/new
    cryptsetup close root
}
makes_the_ram_disk() {
    page disk.md dracut
    dracut --force --kver "$release" --no-compress --add-drivers "virtio_pci virtio_blk ext4" --filesystems ext4 \
        --omit "plymouth lvm mdraid multipath nvdimm btrfs dmraid i18n" --hostonly /run/initrd
    lsinitrd /run/initrd >/run/initrd.list
    grep hierarkey /run/initrd.list
    cp /run/initrd /rig/initrd
}
holds() { grep -qE "$1" /run/initrd.list || { printf 'it lacks %s\n' "$1"; return 1; }; }
holds_everything() {
    holds 'pkcs11/libhierarkey.so$' && holds ' var/lib/hierarkey/hierarkey.sqlite3$' && holds ' etc/hierarkey/hierarkey.toml$' &&
        holds 'p11-kit/modules/hierarkey.module$' && holds 'libcryptsetup-token-systemd-pkcs11.so$' &&
        holds '/libtss2-mu.so' && holds '/dm-crypt.ko'
}
runs_from_the_volume() {
    says '^/dev/mapper/root$' findmnt --noheadings --output SOURCE /
    cryptsetup status root
    says "Successfully logged into security token 'disk'" journalctl --quiet --boot --no-pager --output cat
}
case $boot in
    1)
        makes_the_token
        page disk.md rsa
        page disk.md certificate >/dev/null
        makes_a_volume
        page disk.md enrol PASSWORD="$(cat /run/disk/passphrase)"
        check "makes the initial RAM disk" makes_the_ram_disk
        check "the RAM disk holds what it needs" holds_everything
        check "moves the root to the volume" moves_the_root
        uuid=$(cryptsetup luksUUID "$DEVICE")
        boots_with initrd
        appends "rd.luks.name=$uuid=root rd.luks.options=$uuid=pkcs11-uri=auto root=/dev/mapper/root"
        types 'PIN' "$user_pin"
        power_cycle
        ;;
    2)
        check "boots from the volume that the token opened" runs_from_the_volume
        finish
        ;;
esac
