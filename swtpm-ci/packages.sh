#!/usr/bin/env bash
# The Debian package in a clean root: installed, used by members of its two groups and by somebody else, upgraded, removed and purged, by
# the commands of docs/install.md; then the RPM's description. 'N passed, N failed' last.
#
#   swtpm-ci/packages.sh
#
#   built                    the folder with the module and the tool to package, without which the release is built
#   HIERARKEY_PACKAGE_CACHE  the clean root, kept for a month; by default ~/.cache/hierarkey-packages
#   KEEP                     not empty: the working folder stays
#
# Runs as root, in a mount namespace of its own. The root's packages come from where this machine's own apt gets Debian's.
# shellcheck disable=SC2317 # what check is given is called by it
if [ -z "${HIERARKEY_OWN_MOUNTS:-}" ]; then
    HIERARKEY_OWN_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=debian.sh
. "$rig/debian.sh"
PATH=$PATH:/usr/sbin:/sbin
client=packages
kind=hierarkey
: >"$work/module.log"
built=${built:+$(readlink -f "$built")}
suite=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
libraries=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
clean=$work/clean
trap 'umount "$clean/mnt" "$clean/proc" 2>/dev/null || true; clean_up' EXIT

# What users of the package may have beside it; what it needs, apt brings.
clean_root() {
    local cache=${HIERARKEY_PACKAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hierarkey-packages} archive user
    archive=$cache/$suite-$(date +%Y-%m)-$(sha256sum <"$rig/debian.sh" | cut -c 1-8).tar
    mkdir -p "$cache" "$clean"
    if [ ! -s "$archive" ]; then
        debian_root "$suite" "$work/root.tar" acl opensc
        mv "$work/root.tar" "$archive"
    fi
    tar -C "$clean" --numeric-owner -xpf "$archive"
    cp /etc/resolv.conf "$clean/etc/resolv.conf" 2>/dev/null || true
    # Nobody is there to answer, or to log in.
    printf 'APT::Get::Assume-Yes "true";\nAPT::Sandbox::User "root";\n' >"$clean/etc/apt/apt.conf.d/00nobody"
    mount -t proc proc "$clean/proc"
    inside apt-get -q update >"$work/update.log" 2>&1 || { cat "$work/update.log"; return 1; }
    for user in alice bob carol; do
        chroot "$clean" useradd --create-home --shell /bin/bash "$user"
        printf '123456\n' >"$clean/home/$user/pin"
        printf '12345678\n' >"$clean/home/$user/so-pin"
        chroot "$clean" chown "$user:" "/home/$user/pin" "/home/$user/so-pin"
        chroot "$clean" chmod 0600 "/home/$user/pin" "/home/$user/so-pin"
    done
}

# inside COMMAND...: as root in the clean root; as USER COMMAND...: as that user, with the groups of a new login.
inside() {
    chroot "$clean" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"
}
as() {
    local user=$1
    shift
    inside setpriv --reuid "$user" --regid "$user" --init-groups --reset-env --inh-caps=-all env --chdir="/home/$user" \
        LC_ALL=C.UTF-8 "$@"
}
# The page's block, as root and as a user.
steps() { inside env --chdir=/root bash -euo pipefail -c "$(page install "$1")"; }
steps_as() { as "$1" bash -euo pipefail -c "$(page install "$2")"; }

# make_package VERSION: the package, in root's home of the clean root and nowhere else in it.
make_package() {
    make --no-print-directory deb deb_version="$1" ${built:+built="$built"}
    rm -f "$clean"/root/hierarkey_*.deb
    cp "target/debian/hierarkey_$1_$(dpkg --print-architecture).deb" "$clean/root/"
}
version_is() { [ "$(inside dpkg-query -W -f '${Status} ${Version}' hierarkey)" = "install ok installed $1" ]; }

module=$libraries/pkcs11/libhierarkey.so
is_in_place() {
    local file
    for file in "$module" /usr/share/p11-kit/modules/hierarkey.module /usr/bin/hierarkey /etc/hierarkey/hierarkey.toml \
        /usr/lib/sysusers.d/hierarkey.conf /usr/lib/tmpfiles.d/hierarkey.conf /usr/lib/dracut/modules.d/90hierarkey/module-setup.sh \
        /usr/share/initramfs-tools/hooks/hierarkey /usr/lib/cryptsetup/scripts/decrypt_hierarkey \
        /usr/share/man/man1/hierarkey.1.gz /usr/share/man/man1/hierarkey-key-generate.1.gz /usr/share/man/man5/hierarkey.toml.5.gz \
        /usr/share/man/man7/hierarkey.7.gz /usr/share/bash-completion/completions/hierarkey \
        /usr/share/zsh/vendor-completions/_hierarkey /usr/share/fish/vendor_completions.d/hierarkey.fish; do
        inside dpkg -S "$file"
        [ "$(inside stat -c %U "$file")" = root ]
    done
    says '^ /etc/hierarkey/hierarkey.toml ' inside dpkg-query -W -f '${Conffiles}\n' hierarkey
}
completes() { says 'hierarkey$' inside bash -c '. /usr/share/bash-completion/completions/hierarkey && complete -p hierarkey'; }
is_shared_by_two_groups() {
    says '^root:hierarkey-admin 2770$' inside stat -c '%U:%G %a' /var/lib/hierarkey
    says '^group:hierarkey:r-x$' inside getfacl -cp /var/lib/hierarkey
    says '^default:group:hierarkey:r-x$' inside getfacl -cp /var/lib/hierarkey
    says '^other::---$' inside getfacl -cp /var/lib/hierarkey
}
groups_are_given() {
    steps groups
    says 'hierarkey\b' as alice id -Gn
    says 'hierarkey-admin' as bob id -Gn
    lacks hierarkey <(as carol id -Gn)
}
# The settings of the machine's administrator: here, where the TPM is.
configures() { sed -i 's|^#tcti = .*|tcti = "swtpm:path=/run/tpm.sock"|' "$clean/etc/hierarkey/hierarkey.toml"; }
is_still_configured() { grep -qx 'tcti = "swtpm:path=/run/tpm.sock"' "$clean/etc/hierarkey/hierarkey.toml"; }

store=/var/lib/hierarkey/hierarkey.sqlite3
alice_uses_it() { steps_as alice alice && says 'label: +vpn' steps_as alice alice; }
alice_changes_nothing() {
    refuses 'store cannot be written by this user' as alice hierarkey key generate other --type ec-p256 --pin-file pin
    refuses 'denied' as alice bash -c ": >>$store"
    refuses 'denied' as alice touch /var/lib/hierarkey/other
}
alice_is_not_accused() { lacks 'is for group' <(as alice hierarkey doctor 2>&1 || true); }
carol_sees_nothing() {
    refuses 'denied' as carol ls /var/lib/hierarkey
    refuses 'denied' as carol cat "$store"
    lacks shared <(as carol hierarkey status 2>&1)
}
carol_has_her_own() {
    steps_as carol carol
    says '^carol 600$' inside stat -c '%U %a' /home/carol/.local/share/hierarkey/hierarkey.sqlite3
    says mine as carol hierarkey status
}
programs_find_it() {
    steps look | tee "$work/look"
    grep -q '^ *token: shared' "$work/look"
    grep -q '^hierarkey: ' "$work/look"
}
sum() { sha256sum <"$clean$store"; }
upgrades() {
    local before
    before=$(sum)
    make_package "$newer"
    steps package
    version_is "$newer"
    [ "$(sum)" = "$before" ]
}
is_removed() {
    local before
    before=$(sum)
    steps "$1"
    [ ! -e "$clean$module" ] && [ ! -e "$clean/usr/bin/hierarkey" ]
    [ "$(sum)" = "$before" ]
    is_shared_by_two_groups
}
# From source: what make install puts in place, and a directory that nobody made yet; and as it is made where the files were put by DESTDIR.
installs_from_source() {
    rm -f "$clean"/usr/lib/*.d/hierarkey.conf
    mv "$clean/var/lib/hierarkey" "$clean/var/lib/hierarkey.kept"
    inside apt-get -q install make >"$work/make.log" 2>&1 || { cat "$work/make.log"; return 1; }
    mount --bind "$root" "$clean/mnt"
    inside make -C /mnt --no-print-directory install libdir="$libraries" ${built:+built="/mnt${built#"$root"}"}
    is_shared_by_two_groups
    inside rmdir /var/lib/hierarkey
    steps source
    is_shared_by_two_groups
    inside rmdir /var/lib/hierarkey
    mv "$clean/var/lib/hierarkey.kept" "$clean/var/lib/hierarkey"
    configures
    alice_uses_it
    inside make -C /mnt --no-print-directory uninstall libdir="$libraries"
    umount "$clean/mnt"
    [ -z "$(find "$clean/usr" -name '*hierarkey*')" ]
    [ -e "$clean/etc/hierarkey/hierarkey.toml" ]
}
# What rpm of Debian can tell: the description is one, and the files of this build are those that it names.
rpm_is_described() {
    rpmspec --parse dist/rpm/hierarkey.spec >/dev/null
    says '^hierarkey$' rpmspec --query --queryformat '%{name}\n' dist/rpm/hierarkey.spec
    rpmbuild -bb --nodeps --quiet --define "_topdir $work/rpm" --define "_sourcedir $root" --define "staged $root/target/package" \
        --define "_libdir $libraries" --define "zshdir /usr/share/zsh/vendor-completions" --define '_build_id_links none' --define '__strip /bin/true' dist/rpm/hierarkey.spec
    rpm -qpl "$work"/rpm/RPMS/*/hierarkey-*.rpm >"$work/rpm.list"
    grep -qx "$module" "$work/rpm.list"
    grep -q '/man5/hierarkey.toml.5' "$work/rpm.list"
    says '^/etc/hierarkey/hierarkey.toml$' rpm -qp --configfiles "$work"/rpm/RPMS/*/hierarkey-*.rpm
    lacks '/var/lib/hierarkey|initramfs-tools|cryptsetup' "$work/rpm.list"
}

clean_root
start_tpm
unset HIERARKEY_CONF HIERARKEY_STORE HIERARKEY_TCTI
# The clean root's users reach the emulator as they would a device of their group.
chmod 0666 "$work/tpm.sock"
ln "$work/tpm.sock" "$clean/run/tpm.sock"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-1
newer=$version+later1

check "is made" make_package "$version"
check "is installed by apt" steps package
# Nothing below could pass.
[ "$failed" = 0 ] || finish
check "has this version" version_is "$version"
check "has everything in place, and its configuration as a conffile" is_in_place
check "completes in bash" completes
check "gives the machine's store to two groups" is_shared_by_two_groups
check "has members in each" groups_are_given
configures
check "lets a member of hierarkey-admin make a token and a key" steps_as bob bob
check "lets a member of hierarkey use the key" alice_uses_it
check "lets a member of hierarkey change nothing" alice_changes_nothing
check "has a doctor who finds no fault with the member's groups" alice_is_not_accused
check "shows nothing to who is in neither group" carol_sees_nothing
check "needs no root for a user's own store" carol_has_her_own
check "is found by p11-kit, and told of by hierarkey status" programs_find_it
check "is upgraded, and leaves the store as it is" upgrades
check "is upgraded, and keeps the administrator's configuration" is_still_configured
check "still has the key after the upgrade" alice_uses_it
check "still has the user's own store" says mine as carol hierarkey status
check "is removed, and leaves the store" is_removed remove
check "is removed, and leaves the configuration" is_still_configured
check "is purged, and leaves the store" is_removed purge
check "is purged with its configuration" test ! -e "$clean/etc/hierarkey/hierarkey.toml"
check "is installed again" steps package
configures
check "has the key again" alice_uses_it
check "is purged again" is_removed purge
check "is installed from source, and taken away again" installs_from_source
check "has an RPM description that names its files" rpm_is_described
finish
