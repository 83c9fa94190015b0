#!/usr/bin/env bash
# machine: trixie
# The root file system on a volume that Debian 13's initramfs-tools opens, by our keyscript and an EC key.
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
        root_opens_by ec
        asked_for_the_pin
        types "$asks_for_pin" "$user_pin"
        power_cycle
        ;;
    2)
        check "boots from the volume by the PIN that is typed" runs_from_the_volume
        check "used up no try" says '^tries left: 3 of 3$' hierarkey lockout show
        finish
        ;;
esac
