#!/usr/bin/env bash
# In the machine: installs the module at its first boot, runs the scenario's script with the number of
# this boot, leaves its status for the host and takes the power away.
set -u
exec >>/rig/report 2>&1 </dev/null
boot=$(cat /rig/boot)
scenario=$(cat /rig/scenario)
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
printf -- '---- %s, boot %s: up for %s s\n' "$scenario" "$boot" "$(cut -d. -f1 /proc/uptime)"
if [ "$boot" = 1 ]; then
    tar -C / --no-overwrite-dir -xf /rig/install.tar
    # What a package's scripts do, and make install without DESTDIR.
    systemd-sysusers hierarkey.conf
    systemd-tmpfiles --create hierarkey.conf
fi
bash -euo pipefail "/rig/src/swtpm-ci/vm/scenarios/$scenario.sh" "$boot"
status=$?
if [ "$status" = 0 ] && [ -e /rig/next/asleep ]; then
    rm /rig/next/asleep
    printf '%s\n' $((boot + 1)) >/rig/boot
    cp /rig/src/swtpm-ci/vm/asleep.sh /run/
    systemd-run --quiet --collect --no-block bash /run/asleep.sh
    exit 0
fi
printf '%s\n' "$status" >/rig/status
if [ "$status" != 0 ]; then
    journalctl -b -q --no-pager -n 80 >"/rig/journal.$boot"
fi
# As when the plug is pulled, but for what the script wrote.
sync
umount /rig 2>/dev/null
echo o >/proc/sysrq-trigger
sleep 60
