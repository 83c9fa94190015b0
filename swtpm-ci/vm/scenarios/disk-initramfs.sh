#!/usr/bin/env bash
# machine: bookworm
# The root file system on a volume that an initial RAM disk of initramfs-tools opens, by our keyscript.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. /rig/src/swtpm-ci/vm/lib.sh
# shellcheck source-path=SCRIPTDIR source=../disk.sh
. /rig/src/swtpm-ci/vm/disk.sh
# shellcheck source-path=SCRIPTDIR source=../root.sh
. /rig/src/swtpm-ci/vm/root.sh
# shellcheck source-path=SCRIPTDIR source=../initramfs.sh
. /rig/src/swtpm-ci/vm/initramfs.sh
case $boot in
    1)
        root_opens_by rsa
        asked_for_the_pin
        types "$asks_for_pin" 999999
        types "$asks_for_pin" "$user_pin"
        power_cycle
        ;;
    2)
        check "boots from the volume by the PIN that is typed after a wrong one" runs_from_the_volume
        check "tells the wrong PIN, and how many are left" console_says 'the PIN is wrong: 2 of 3 tries are left'
        check "used up one try" says '^tries left: 2 of 3$' hierarkey lockout show
        check "leaves systemd nothing to open" says '^active$' systemctl is-active systemd-cryptsetup@root.service
        asked_for_the_pin
        types "$asks_for_pin" 999999
        types "$asks_for_passphrase" "$(passphrase)"
        power_cycle
        ;;
    3)
        check "boots by the passphrase after too many wrong PINs" runs_from_the_volume
        check "tells why no PIN is asked for" console_says 'the last PIN that the TPM takes is not used up'
        check "keeps the last try" says '^tries left: 1 of 3$' hierarkey lockout show
        hierarkey lockout reset
        asked_for_the_pin
        types "$asks_for_pin" ''
        types "$asks_for_passphrase" 'another passphrase'
        types "$asks_for_pin" "$user_pin"
        power_cycle
        ;;
    4)
        check "boots by the PIN after a wrong passphrase" runs_from_the_volume
        check "used up no try" says '^tries left: 3 of 3$' hierarkey lockout show
        without_tpm
        asked_for_the_pin
        types "$asks_for_passphrase" "$(passphrase)"
        power_cycle
        ;;
    5)
        check "boots without a TPM by the passphrase" runs_from_the_volume
        check "tells that there is no TPM" console_says 'the TPM at .* does not answer'
        finish
        ;;
esac
