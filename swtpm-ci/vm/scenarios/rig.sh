#!/usr/bin/env bash
# machine: bookworm
# The rig itself: a TPM that the kernel brought up, a token on it, and both after a power cycle.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. /rig/src/swtpm-ci/vm/lib.sh
finds_the_devices() { [ -c /dev/tpm0 ] && [ -c /dev/tpmrm0 ]; }
makes_a_token() {
    printf '123456\n' >/root/pin
    printf '12345678\n' >/root/so-pin
    hierarkey token init --label vm --pin-file /root/pin --so-pin-file /root/so-pin
}
finds_the_token() { says 'token=vm' p11tool --list-tokens; }
case $boot in
    1)
        check "finds the kernel's devices" finds_the_devices
        check "makes a token" makes_a_token
        check "finds the token by p11-kit" finds_the_token
        power_cycle
        ;;
    2)
        check "finds the token after a power cycle" finds_the_token
        finish
        ;;
esac
