#!/usr/bin/env bash
# Runs scenarios in virtual machines whose TPM is the kernel's own /dev/tpm0 and /dev/tpmrm0.
#
#   swtpm-ci/vm/run.sh                all of them
#   swtpm-ci/vm/run.sh disk-252       one: a script of scenarios/
#
#   HIERARKEY_VM_ACCEL   kvm or tcg; without it KVM is tried first
#   HIERARKEY_VM_LIMIT   seconds that one boot may take, by default 1800: an emulated processor on a busy
#                        machine is slow, and only a boot that hangs gets that far
#   KEEP                 not empty: disks, consoles and logs stay
#
# A scenario's second line says which Debian it runs on: '# machine: bookworm'. Its lines are shown as
# they come; 'N passed, N failed' is the last line.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=machine.sh
. "$rig/vm/machine.sh"
PATH=$PATH:/usr/sbin:/sbin
cache=${HIERARKEY_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hierarkey-vm}
export HIERARKEY_VM_CACHE=$cache

if [ $# -eq 0 ]; then
    for script in "$rig"/vm/scenarios/*.sh; do
        name=${script##*/}
        set -- "$@" "${name%.sh}"
    done
fi

# What `make install` installs, as a tar archive that any guest unpacks. MODULE names another build's module;
# the tool is the one beside it.
if [ -z "${MODULE:-}" ]; then
    cargo build --quiet --locked --release --workspace </dev/null
    MODULE=${CARGO_TARGET_DIR:-$root/target}/release/libhierarkey.so
fi
make --no-print-directory install DESTDIR="$work/install" built="$(dirname "$(readlink -f "$MODULE")")" >/dev/null
find "$work/install" -name 'libhierarkey.so' -exec strip --strip-debug {} +
find "$work/install" -path '*/bin/hierarkey' -type f -exec strip --strip-debug {} +
tar -C "$work/install" --owner=0 --group=0 -cf "$work/install.tar" .

said=$work/said
: >"$said"
for scenario in "$@"; do
    script=$rig/vm/scenarios/$scenario.sh
    [ -r "$script" ] || { printf 'FAIL vm/%s: there is no such scenario\n' "$scenario" | tee -a "$said"; continue; }
    suite=$(sed -n 's/^# machine: //p' "$script")
    if ! new_machine "$suite"; then
        printf 'FAIL vm/%s: no machine\n' "$scenario" | tee -a "$said"
        continue
    fi
    cp "$work/install.tar" "$machine/share/"
    mkdir "$machine/share/src"
    cp -r "$root/swtpm-ci" "$root/docs" "$root/dist" "$machine/share/src/"
    printf '%s\n' "$scenario" >"$machine/share/scenario"
    : >"$machine/share/report"
    printf '%s: %s by %s\n' "$scenario" "$suite" "$(accelerator)"
    tail -n +1 -f "$machine/share/report" &
    follower=$!
    started+=("$follower")
    status=0
    while :; do
        boot_machine "${HIERARKEY_VM_LIMIT:-1800}" || status=$?
        { [ "$status" = 0 ] && [ -e "$machine/share/next/wanted" ]; } || break
    done
    sleep 1
    stop "$follower"
    cat "$machine/share/report" >>"$said"
    if [ "$status" != 0 ]; then
        if ! grep -q '^FAIL ' "$machine/share/report"; then
            printf 'FAIL vm/%s: boot %s ended with status %s\n' "$scenario" "$boots" "$status" | tee -a "$said"
        fi
        tail -n 40 "$console" | tr -d '\r' | sed 's/^/    console | /'
        sed 's/^/    journal | /' "$machine/share/journal.$(cat "$machine/share/boot")" 2>/dev/null || true
        sed 's/^/    qemu | /' "$machine/qemu.log"
    fi
    [ -n "${KEEP:-}" ] || rm -rf "$machine"
done

passed=$(grep -c '^PASS ' "$said" || true)
failed=$(grep -c '^FAIL ' "$said" || true)
grep '^FAIL ' "$said" || true
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
