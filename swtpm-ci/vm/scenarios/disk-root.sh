#!/usr/bin/env bash
# machine: bookworm
# The root file system on a volume that the initial RAM disk opens: made by dracut with our module.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. /rig/src/swtpm-ci/vm/lib.sh
# shellcheck source-path=SCRIPTDIR source=../disk.sh
. /rig/src/swtpm-ci/vm/disk.sh
# shellcheck source-path=SCRIPTDIR source=../root.sh
. /rig/src/swtpm-ci/vm/root.sh
# shellcheck source-path=SCRIPTDIR source=../dracut.sh
. /rig/src/swtpm-ci/vm/dracut.sh
case $boot in
    1)
        root_opens_by rsa
        power_cycle
        ;;
    2)
        check "boots from the volume that the token opened" opened_by_the_token
        finish
        ;;
esac
