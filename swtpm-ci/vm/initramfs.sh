# shellcheck shell=bash
# What the scenarios about initramfs-tools share. Sourced after root.sh.
# shellcheck disable=SC2034,SC2154 # scripts read what is set here; lib.sh, disk.sh and root.sh set what is used

asks_for_pin='PIN for root'
asks_for_passphrase='Passphrase of root'
passphrase() {
    has_pins
    cat /run/disk/passphrase
}

ram_disk=/boot/initrd.img-$release
# The crypttab that Debian's installer leaves, and a RAM disk that has nothing of ours then. The rig's kernel came without
# its package's configuration, which tells how a RAM disk may be compressed.
makes_a_ram_disk_of_debian() {
    printf 'CONFIG_RD_ZSTD=y\n' >"$new_root/boot/config-$release"
    printf 'root UUID=%s none luks,discard\n' "$(cryptsetup luksUUID "$DEVICE")" >"$new_root/etc/crypttab"
    in_new_root update-initramfs -c -k "$release"
    in_new_root lsinitramfs "$ram_disk" >/run/ram-disk
    holds /run/ram-disk 'sbin/cryptsetup$'
    lacks hierarkey /run/ram-disk
}
takes_a_pin() {
    says 'token "disk" opens it$' in_new_root bash -euo pipefail -c "$("$rig/page.sh" disk.md initramfs-check)"
}
makes_the_ram_disk() {
    in_new_root bash -euo pipefail -c "$("$rig/page.sh" disk.md initramfs)"
    in_new_root lsinitramfs -l "$ram_disk" >/run/ram-disk
    grep hierarkey /run/ram-disk
    holds /run/ram-disk 'bin/hierarkey$' '^-rw------- .* var/lib/hierarkey/hierarkey.sqlite3$' ' etc/hierarkey/hierarkey.toml$' \
        'cryptsetup/scripts/decrypt_hierarkey$' 'cryptsetup/askpass$' '/libtss2-mu.so' '/dm-crypt.ko' '/tpm_tis_spi.ko'
    # Whoever may read the RAM disk has the store.
    says '^600$' stat -c %a "$new_root$ram_disk"
    cp "$new_root$ram_disk" /rig/initrd
}
moves_to_the_volume() {
    check "moves the root to the volume" moves_the_root
    check "leaves a RAM disk alone that nobody asked for it" makes_a_ram_disk_of_debian
    check "says that the token opens the volume" takes_a_pin
    check "makes the initial RAM disk" makes_the_ram_disk
    leaves_the_root
    # Three PINs, and none given back while this lasts.
    tpm2_dictionarylockout --setup-parameters --max-tries=3 --recovery-time=86400
}
# The next boot: from the volume, by this RAM disk.
asked_for_the_pin() {
    boots_with initrd
    appends "root=/dev/mapper/root"
}
# What a person saw at this boot.
console_says() { says "$1" tr -d '\r' <"/rig/console.$boot"; }
