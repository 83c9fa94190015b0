#!/usr/bin/env bash
# In the machine: sleeps, wakes up, and has the scenario's script run again. Runs as a unit of its own, from a copy: the share's
# driver does not live through a sleep.
set -u
until umount /rig; do
    sleep 0.2
done
modprobe -r 9pnet_virtio
sync
printf 'deep\n' >/sys/power/mem_sleep
# The host wakes who says so. A machine that is woken on the way there has not slept.
until printf 'rig: asleep\n' >/dev/console && printf 'mem\n' >/sys/power/state; do
    sleep 1
done
printf 'rig: awake\n' >/dev/console
systemctl start --no-block rig.service
