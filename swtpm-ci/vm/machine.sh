# shellcheck shell=bash
# A virtual machine with a TPM of its own, which lives through power cycles: same disks, same TPM,
# a new QEMU. Sourced by run.sh, never run.
#
#   new_machine SUITE        disks and a TPM nobody used yet, in $machine
#   boot_machine SECONDS     boots it and waits until it is off; its script's status, or 124
#
# What a boot is to have besides, the script that ran before left in $machine/share/next:
#   append    words for the kernel's command line
#   type      lines 'PATTERN<TAB>TEXT': TEXT is typed when the console shows PATTERN
#   initrd    a path in the share: the initial RAM disk to boot with, instead of the rig's
#   tpm       the file alone: a machine without a TPM

# shellcheck disable=SC2154 # run.sh and ../lib.sh set cache, rig and work

# accelerator: KVM where a guest really runs with it. In machines that are virtual themselves it may be
# offered and hang, so it is tried, once for each boot of the host.
accelerator() {
    local said=$cache/kvm this
    if [ -z "${HIERARKEY_VM_ACCEL:-}" ]; then
        HIERARKEY_VM_ACCEL=tcg
        if [ -w /dev/kvm ]; then
            this=$(cat /proc/sys/kernel/random/boot_id)
            if ! grep -qs "^$this " "$said"; then
                if timeout --kill-after=2 20 qemu-system-x86_64 -accel kvm -m 256 -nodefaults -nographic -no-reboot \
                    -kernel "$kernel" -initrd "$initrd" -append 'console=ttyS0 rig.probe' -serial stdio </dev/null 2>&1 |
                    grep -aq 'rig: alive'; then
                    printf '%s kvm\n' "$this" >"$said"
                else
                    printf '%s tcg\n' "$this" >"$said"
                fi
            fi
            HIERARKEY_VM_ACCEL=$(cut -d' ' -f2 "$said")
        fi
    fi
    printf '%s\n' "$HIERARKEY_VM_ACCEL"
}

new_machine() {
    local paths
    suite=$1
    machine=$work/$suite.$RANDOM
    mkdir -p "$machine/share/next" "$machine/tpm"
    mapfile -t paths < <("$rig/vm/image.sh" "$suite")
    [ "${#paths[@]}" = 3 ] || { printf 'no image of %s\n' "$suite" >&2; return 1; }
    kernel=${paths[0]} initrd=${paths[1]}
    qemu-img create -q -f qcow2 -F raw -b "${paths[2]}" "$machine/root.qcow2"
    # The volume to be encrypted.
    truncate -s 64M "$machine/volume"
    # And the one that a root file system is moved to.
    truncate -s 2G "$machine/other-root"
    printf '0\n' >"$machine/share/boot"
    boots=0
}

# types FILE: types the answers in it, each when the console has shown what it is an answer to.
types() {
    local pattern text seen=0 size
    while IFS=$'\t' read -r pattern text; do
        until tail -c "+$((seen + 1))" "$console" 2>/dev/null | grep -aqE -e "$pattern"; do
            sleep 0.3
        done
        size=$(stat -c %s "$console")
        printf '%s\r' "$text" >&"$keyboard"
        # The answer's own echo and the rest of the question are not the next question.
        sleep 2
        seen=$size
    done <"$1"
}

# wake: presses the button of a machine that says it falls asleep; again and again, as one that is still awake takes no notice. A
# machine of QEMU's that slept does not switch itself off any more: it is ended when its kernel has done what it does before.
wake() {
    case $(grep -aoE 'rig: (asleep|awake)|reboot: Power down' "$console" | tail -n 2 | tr '\n' ' ') in
        *'rig: asleep ') printf 'system_wakeup\n' 1<>"$machine/monitor.in" ;;
        'rig: awake reboot: Power down ') printf 'quit\n' 1<>"$machine/monitor.in" ;;
    esac
}

boot_machine() {
    local limit=$1 append='' ram=$initrd status=0 typist='' swtpm_pid device=tpm-tis qemu_pid waited=0
    local options=()
    # A machine that slept counts on by itself.
    boots=$(($(cat "$machine/share/boot") + 1))
    # In the share: a scenario reads what a person saw before it ran.
    console=$machine/share/console.$boots
    printf '%s\n' "$boots" >"$machine/share/boot"
    rm -rf "$machine/share/status" "$machine/now"
    mv "$machine/share/next" "$machine/now"
    mkdir "$machine/share/next"
    [ ! -e "$machine/now/append" ] || append=$(cat "$machine/now/append")
    [ ! -e "$machine/now/initrd" ] || ram=$machine/share/$(cat "$machine/now/initrd")
    [ "$suite" = bookworm ] || device=tpm-crb
    if [ ! -e "$machine/now/tpm" ]; then
        swtpm socket --tpm2 --tpmstate "dir=$machine/tpm" --ctrl "type=unixio,path=$machine/tpm.sock" \
            --terminate >"$machine/swtpm.log" 2>&1 </dev/null &
        swtpm_pid=$!
        started+=("$swtpm_pid")
        within 10 test -S "$machine/tpm.sock" || { cat "$machine/swtpm.log"; return 1; }
        options+=(-chardev "socket,id=tpm,path=$machine/tpm.sock" -tpmdev "emulator,id=tpm,chardev=tpm"
            -device "$device,tpmdev=tpm")
    fi
    rm -f "$machine/keyboard" "$machine"/monitor.*
    mkfifo "$machine/keyboard" "$machine/monitor.in" "$machine/monitor.out"
    exec {keyboard}<>"$machine/keyboard"
    : >"$console"
    qemu-system-x86_64 -accel "$(accelerator)" -machine q35 -cpu max -smp 2 -m 1024 \
        -nodefaults -display none -no-reboot \
        -kernel "$kernel" -initrd "$ram" \
        -append "console=ttyS0 quiet rw systemd.show_status=0 panic=-1 ${append:-root=/dev/vda}" \
        -drive "file=$machine/root.qcow2,format=qcow2,if=virtio,cache=unsafe" \
        -drive "file=$machine/volume,format=raw,if=virtio" \
        -drive "file=$machine/other-root,format=raw,if=virtio,cache=unsafe" \
        -virtfs "local,path=$machine/share,mount_tag=rig,security_model=none,id=rig" \
        -device virtio-rng-pci "${options[@]}" -serial stdio \
        -chardev "pipe,id=monitor,path=$machine/monitor" -mon chardev=monitor \
        <"$machine/keyboard" >"$console" 2>"$machine/qemu.log" &
    qemu_pid=$!
    started+=("$qemu_pid")
    if [ -e "$machine/now/type" ]; then
        types "$machine/now/type" &
        typist=$!
        started+=("$typist")
    fi
    while kill -0 "$qemu_pid" 2>/dev/null; do
        sleep 0.5
        waited=$((waited + 1))
        [ $((waited % 20)) != 0 ] || wake
        if [ "$waited" -gt $((limit * 2)) ] || grep -aqsE 'You are in (emergency|rescue) mode|Kernel panic|^\(initramfs\)' "$console"; then
            stop "$qemu_pid"
            status=124
        fi
    done
    wait "$qemu_pid" 2>/dev/null || true
    [ -z "$typist" ] || stop "$typist"
    exec {keyboard}>&-
    [ -z "${swtpm_pid:-}" ] || stop "$swtpm_pid"
    if [ "$status" = 0 ]; then
        status=$(cat "$machine/share/status" 2>/dev/null || echo 125)
    fi
    return "$status"
}
