#!/usr/bin/env bash
# Makes what a virtual machine boots from, unless the cache has it: a Debian kernel, a small initial
# RAM disk that mounts the root, and a root file system.
#
#   swtpm-ci/vm/image.sh bookworm    Debian 12: systemd 252
#   swtpm-ci/vm/image.sh trixie      Debian 13: systemd 257
#
# Prints three paths, one a line: kernel, initial RAM disk, root. They are only read: a machine's
# writes go to a layer of its own. Packages come from where this machine's own apt gets Debian's.
#
#   HIERARKEY_VM_CACHE    the cache, by default ~/.cache/hierarkey-vm. A file's name has the hash of
#                         what it was made from, so nothing stale is used and all of it may be deleted.
#
# Runs as root: a root file system has files of many owners.
set -euo pipefail
suite=${1:?which Debian?}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${HIERARKEY_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hierarkey-vm}
mkdir -p "$cache"

common="systemd systemd-sysv udev dbus kmod cryptsetup dracut-core initramfs-tools cryptsetup-initramfs p11-kit p11-kit-modules
    opensc gnutls-bin openssl tpm2-tools libtss2-tcti-device0 busybox-static e2fsprogs mount procps zstd cpio login"
case "$suite" in
    bookworm) packages="$common" ;;
    trixie) packages="$common systemd-cryptsetup libcryptsetup12 pkcs11-provider" ;;
    *) printf 'image.sh: bookworm or trixie?\n' >&2; exit 2 ;;
esac

work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
say() { printf 'image.sh: %s\n' "$*" >&2; }

# shellcheck source-path=SCRIPTDIR source=../debian.sh
. "$here/../debian.sh"

# The newest 6.1 kernel that apt offers; the cloud's has no 9p, over which the host's files come.
kernel_package=$(apt-cache search --names-only '^linux-image-6\.1\.[0-9]+-[0-9]+-amd64$' |
    cut -d' ' -f1 | sort -V | tail -n 1)
[ -n "$kernel_package" ] || { say "apt knows no kernel 6.1"; exit 1; }
release=${kernel_package#linux-image-}

# keyed NAME INPUT...: the cached file's path.
keyed() {
    local name=$1
    shift
    printf '%s/%s-%s' "$cache" "$name" "$(printf '%s\n' "$@" | cat - "$here/image.sh" | sha256sum | cut -c 1-16)"
}
kernel=$(keyed kernel "$kernel_package")
modules=$kernel.modules
initrd=$(keyed initrd "$kernel_package" "$(sha256sum <"$here/init")")
# A month: packages' fixes come in by then, and a key that never changed would hide them.
root=$(keyed "root-$suite" "$kernel_package" "$packages" "$(date +%Y-%m)" "$(sha256sum <"$here/rig.service")")

# Only the drivers and file systems that a machine of QEMU's can need.
make_kernel() {
    local drivers
    say "unpacking $kernel_package"
    (cd "$work" && apt-get download -q "$kernel_package" >&2)
    dpkg-deb -x "$work/$kernel_package"_*.deb "$work/package"
    drivers=$work/package/lib/modules/$release/kernel/drivers
    find "$drivers" -mindepth 1 -maxdepth 1 \
        ! -name block ! -name char ! -name crypto ! -name firmware ! -name md ! -name virtio ! -name net -exec rm -rf {} +
    find "$drivers/net" -mindepth 1 -maxdepth 1 ! -name 'virtio_net.ko' ! -name 'dummy.ko' -exec rm -rf {} +
    rm -rf "$work/package/lib/modules/$release/kernel/sound"
    depmod -b "$work/package" "$release"
    rm -rf "$modules"
    mv "$work/package/lib/modules" "$modules"
    mv "$work/package/boot/vmlinuz-$release" "$kernel"
}

# The modules that reach the disk, in the order of their needs, and an init that loads them.
make_initrd() {
    local ram=$work/ram module
    say "making the initial RAM disk"
    mkdir -p "$ram"/{bin,dev,proc,sys,root,modules,lib}
    ln -s "$modules" "$ram/lib/modules"
    for module in virtio_pci virtio_blk ext4 crc32c_generic; do
        modprobe -d "$ram" -S "$release" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
    done | awk '!seen[$0]++' >"$work/needed"
    while read -r module; do
        cp "$module" "$ram/modules/"
        basename "$module" >>"$ram/modules/order"
    done <"$work/needed"
    rm -r "${ram:?}/lib"
    debugfs -R "dump /usr/bin/busybox $ram/bin/busybox" "$root" 2>/dev/null
    [ -s "$ram/bin/busybox" ] || debugfs -R "dump /bin/busybox $ram/bin/busybox" "$root" 2>/dev/null
    install -m 0755 "$here/init" "$ram/init"
    chmod 0755 "$ram/bin/busybox"
    (cd "$ram" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initrd"
    mv "$work/initrd" "$initrd"
}

make_root() {
    local tree=$work/root unit
    say "making a root of $suite"
    # shellcheck disable=SC2086 # a list of words
    debian_root "$suite" "$tree" $packages
    # How this machine reaches its archive is no business of the image's.
    rm -f "$tree/etc/apt/apt.conf.d/99mmdebstrap" "$tree/etc/apt/sources.list" "$tree"/etc/apt/sources.list.d/*
    mkdir -p "$tree/rig" "$tree/usr/lib/modules"
    cp -a "$modules/." "$tree/usr/lib/modules/"
    cp "$kernel" "$tree/boot/vmlinuz-$release"
    cp "$here/rig.service" "$tree/etc/systemd/system/rig.service"
    mkdir -p "$tree/etc/systemd/system/multi-user.target.wants"
    ln -s ../rig.service "$tree/etc/systemd/system/multi-user.target.wants/rig.service"
    # What only costs time in a machine that lives for a minute.
    for unit in getty@tty1.service serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer dpkg-db-backup.timer systemd-update-utmp.service systemd-pcrphase.service \
        systemd-resolved.service systemd-timesyncd.service systemd-networkd.service; do
        ln -sf /dev/null "$tree/etc/systemd/system/$unit"
    done
    printf 'LABEL=rig / ext4 defaults,noatime 0 0\n' >"$tree/etc/fstab"
    printf 'rig\n' >"$tree/etc/hostname"
    printf '127.0.0.1 localhost rig\n' >"$tree/etc/hosts"
    rm -rf "$tree"/usr/share/{doc,man,locale,info}/* "$tree"/var/{cache,log}/*
    mkdir -p "$tree/var/log/journal"
    systemd_machine_id "$tree"
    mke2fs -q -t ext4 -L rig -E lazy_itable_init=1,lazy_journal_init=1 -d "$tree" "$work/image" 1400M >&2
    mv "$work/image" "$root"
}
# A machine id of its own spares systemd the work of a first boot.
systemd_machine_id() { tr -d - </proc/sys/kernel/random/uuid >"$1/etc/machine-id"; }

{ [ -s "$kernel" ] && [ -d "$modules" ]; } || make_kernel
[ -s "$root" ] || make_root
[ -s "$initrd" ] || make_initrd
printf '%s\n%s\n%s\n' "$kernel" "$initrd" "$root"
