# shellcheck shell=bash
# What the scenarios about dracut share. Sourced after root.sh.
# shellcheck disable=SC2154 # lib.sh, disk.sh and root.sh set what is used here

makes_the_ram_disk() {
    page disk.md dracut
    dracut --force --kver "$release" --no-compress --add-drivers "virtio_pci virtio_blk ext4" --filesystems ext4 \
        --omit "plymouth lvm mdraid multipath nvdimm btrfs dmraid i18n" --hostonly /run/initrd
    lsinitrd /run/initrd >/run/initrd.list
    grep hierarkey /run/initrd.list
    cp /run/initrd /rig/initrd
}
holds_everything() {
    holds /run/initrd.list 'pkcs11/libhierarkey.so$' ' var/lib/hierarkey/hierarkey.sqlite3$' ' etc/hierarkey/hierarkey.toml$' \
        'p11-kit/modules/hierarkey.module$' 'libcryptsetup-token-systemd-pkcs11.so$' '/libtss2-mu.so' '/dm-crypt.ko'
}
opened_by_the_token() {
    runs_from_the_volume
    says "Successfully logged into security token 'disk'" journalctl --quiet --boot --no-pager --output cat
}
# When the volume is enrolled: the RAM disk, the root, and a boot from there by the PIN.
moves_to_the_volume() {
    local uuid
    check "makes the initial RAM disk" makes_the_ram_disk
    check "the RAM disk holds what it needs" holds_everything
    check "moves the root to the volume" moves_the_root
    leaves_the_root
    uuid=$(cryptsetup luksUUID "$DEVICE")
    boots_with initrd
    appends "rd.luks.name=$uuid=root rd.luks.options=$uuid=pkcs11-uri=auto root=/dev/mapper/root"
    types 'PIN' "$user_pin"
}
