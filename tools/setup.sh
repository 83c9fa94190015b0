#!/usr/bin/env bash
# Installs what is missing, and only that, to build, show, test or check Hierarkey on Debian 12 and
# its relatives.
#
#   tools/setup.sh build     compiler, libtss2's headers
#   tools/setup.sh demo      the same, a TPM emulator and OpenSC
#   tools/setup.sh test      the same, every client that the tests run, and cargo-nextest
#   tools/setup.sh bench     the same, and the module that the benches compare with
#   tools/setup.sh suites    test, and what the test suites of others are built with
#   tools/setup.sh sanitize  test, and valgrind
#   tools/setup.sh vm        demo, and what virtual machines are made of and run with
#   tools/setup.sh deb       build, and cargo-deb
#   tools/setup.sh packages  demo, deb, and what a clean root is made of
#   tools/setup.sh lint      build, rustfmt and clippy
#   tools/setup.sh deny      cargo-deny
#   tools/setup.sh fuzz      demo, and cargo-fuzz
#
# Nothing is asked, nothing is upgraded. As an ordinary user it calls sudo, and only if a package is
# missing. On a system without apt-get it names what is missing and goes on: a build says by itself
# what it cannot do without.
set -euo pipefail

# Tools that cargo builds. Pinned, so that a release of theirs does not change what a build says.
nextest_version=0.9.114
deny_version=0.20.2
fuzz_version=0.13.2
deb_version=3.8.0

build_packages="build-essential pkg-config ca-certificates libtss2-dev"
demo_packages="swtpm swtpm-tools tpm2-tools opensc openssl gnutls-bin"
test_packages="binutils curl git nginx-light openssh-client openssh-server libengine-pkcs11-openssl softhsm2 sqlite3"
test_packages="$test_packages dbus iproute2 libnss3-tools libtss2-tcti-tabrmd0 mount openjdk-17-jdk-headless p11-kit p11-kit-modules procps tpm2-abrmd"
# What the tool sets up: a disk.
test_packages="$test_packages cryptsetup-bin systemd"
# VPNs, and what their two hosts are made of.
test_packages="$test_packages charon-systemd hostapd iputils-ping libcharon-extra-plugins libstrongswan-extra-plugins"
test_packages="$test_packages libstrongswan-standard-plugins openvpn socat strongswan-swanctl util-linux wpasupplicant"
# Clients in Python are built from their authors' sources, those in Go from Debian's packages of theirs.
test_packages="$test_packages python3-dev python3-venv swig"
test_packages="$test_packages golang-go golang-github-miekg-pkcs11-dev golang-github-thalesignite-crypto11-dev"
# Node, its headers and npm, where no other Node than Debian's is installed already.
node_packages="nodejs npm libnode-dev"
# What the benches compare with.
bench_packages="libtpm2-pkcs11-1 libtpm2-pkcs11-tools"
# Suites in Go come as Debian's packages of their source, as the clients do.
suites_packages="libtpm2-pkcs11-1 golang-github-stretchr-testify-dev"

# What looks on while tests run.
sanitize_packages="valgrind"

# A virtual machine's parts: its disks, its first RAM disk, its emulator.
vm_packages="mmdebstrap debian-archive-keyring qemu-system-x86 qemu-utils e2fsprogs kmod cpio"

# A clean root to install into, and what reads an RPM's description.
packages_packages="mmdebstrap debian-archive-keyring util-linux rpm"

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "root is needed for: $*"
        return 1
    fi
}

# The packages of the list that are not installed.
missing_of() {
    local package
    for package in "$@"; do
        case "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)" in
            "install ok installed") ;;
            *) printf '%s ' "$package" ;;
        esac
    done
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" </dev/null >&2; }

# Tests start servers of their own from these packages, each named with its service. A machine that had none must not find itself
# listening afterwards, or with a VPN's daemon: the services are neither started nor left enabled.
services="openssh-server:ssh nginx-light:nginx charon-systemd:strongswan hostapd:hostapd openvpn:openvpn wpasupplicant:wpa_supplicant"

install_quietly() {
    local policy=/usr/sbin/policy-rc.d ours=no status=0 service
    if [ ! -e "$policy" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 0755 "$policy"
    fi
    apt install -y --no-install-recommends "$@" || status=$?
    if [ "$ours" = yes ]; then
        as_root rm -f "$policy"
    fi
    for service in $services; do
        case " $* " in
            *" ${service%:*} "*)
                if command -v systemctl >/dev/null; then
                    as_root systemctl --quiet disable "${service#*:}.service" >&2 2>/dev/null || true
                fi
                ;;
        esac
    done
    return "$status"
}

packages() {
    local missing
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        say "not a Debian: these must be there under your system's names: $*"
        return 0
    fi
    missing=$(missing_of "$@")
    [ -n "$missing" ] || return 0
    say "installing: $missing"
    # shellcheck disable=SC2086 # a list of words
    apt update && install_quietly $missing
}

# rustup puts cargo where a non-login shell does not look.
cargo_on_path() {
    command -v cargo >/dev/null && return 0
    if [ -r "${CARGO_HOME:-${HOME:-/root}/.cargo}/env" ]; then
        # shellcheck disable=SC1091
        . "${CARGO_HOME:-${HOME:-/root}/.cargo}/env"
    fi
    command -v cargo >/dev/null && return 0
    say "Rust is missing: https://rustup.rs"
    return 1
}

# cargo_tool COMMAND CRATE VERSION: the tool, built without optimization, as it is run once or twice.
cargo_tool() {
    cargo "$1" --version >/dev/null 2>&1 && return 0
    say "building $2 $3"
    cargo install --quiet --locked --debug --version "$3" "$2" </dev/null >&2
}

component() {
    cargo "$1" --version >/dev/null 2>&1 && return 0
    say "adding $2"
    rustup component add "$2" </dev/null >&2
}

main() {
    case "${1:-build}" in
        build)
            # shellcheck disable=SC2086
            packages $build_packages
            cargo_on_path
            ;;
        demo)
            # shellcheck disable=SC2086
            packages $build_packages $demo_packages
            cargo_on_path
            ;;
        test)
            command -v npm >/dev/null || test_packages="$test_packages $node_packages"
            # shellcheck disable=SC2086
            packages $build_packages $demo_packages $test_packages
            cargo_on_path
            cargo_tool nextest cargo-nextest "$nextest_version"
            ;;
        bench)
            # shellcheck disable=SC2086
            packages $build_packages $demo_packages $test_packages $bench_packages
            cargo_on_path
            ;;
        suites)
            # shellcheck disable=SC2086
            packages $build_packages $demo_packages $test_packages $suites_packages
            cargo_on_path
            ;;
        sanitize)
            # shellcheck disable=SC2086
            packages $build_packages $demo_packages $test_packages $sanitize_packages
            cargo_on_path
            cargo_tool nextest cargo-nextest "$nextest_version"
            ;;
        vm)
            # shellcheck disable=SC2086
            packages $build_packages $demo_packages $vm_packages
            cargo_on_path
            ;;
        deb)
            # shellcheck disable=SC2086
            packages $build_packages
            cargo_on_path
            cargo_tool deb cargo-deb "$deb_version"
            ;;
        packages)
            # shellcheck disable=SC2086
            packages $build_packages $demo_packages $packages_packages
            cargo_on_path
            cargo_tool deb cargo-deb "$deb_version"
            ;;
        lint)
            # shellcheck disable=SC2086
            packages $build_packages
            cargo_on_path
            component fmt rustfmt
            component clippy clippy
            ;;
        deny)
            cargo_on_path
            cargo_tool deny cargo-deny "$deny_version"
            ;;
        fuzz)
            # shellcheck disable=SC2086
            packages $build_packages $demo_packages util-linux
            cargo_on_path
            cargo_tool fuzz cargo-fuzz "$fuzz_version"
            ;;
        *)
            say "build, demo, test, bench, suites, vm, deb, packages, lint, deny, sanitize or fuzz?"
            return 2
            ;;
    esac
}

main "$@"
