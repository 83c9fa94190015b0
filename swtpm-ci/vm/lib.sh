# shellcheck shell=bash
# What a scenario's script stands on: the checks of all scripts, and what the next boot is to have.
# A script is run at each boot, and each time that the machine wakes up, with the number of the time; it ends with
# `finish`, `power_cycle` or `sleeps`.
# shellcheck disable=SC2034 # scripts read what is set here
# shellcheck source=../lib.sh
. /rig/src/swtpm-ci/lib.sh
client=vm/$(cat /rig/scenario)
boot=$1
volume=/dev/vdb

# page PAGE NAME [VARIABLE=VALUE...]: runs the commands that the page shows, as the page shows them.
page() {
    local text
    text=$("$rig/page.sh" "$1" "$2")
    shift 2
    env "$@" bash -euo pipefail -c "$text"
}
# The next boot.
appends() { printf '%s' "$*" >/rig/next/append; }
types() { printf '%s\t%s\n' "$1" "$2" >>/rig/next/type; }
boots_with() { printf '%s\n' "$1" >/rig/next/initrd; }
power_cycle() {
    [ "$failed" = 0 ] || finish
    touch /rig/next/wanted
    exit 0
}
# To memory (S3): processes stay, the TPM loses its power.
sleeps() {
    [ "$failed" = 0 ] || finish
    touch /rig/next/asleep
    exit 0
}
without_tpm() { touch /rig/next/tpm; }
