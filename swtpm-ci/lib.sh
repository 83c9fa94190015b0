# shellcheck shell=bash
# What every script here stands on: a TPM emulator and a store of its own, a token in it, and
# checks that print PASS or FAIL. Sourced, never run.
#
#   MODULE   the module under test; by default the one that cargo builds for debugging. With
#            SoftHSM2's (MODULE=/usr/lib/softhsm/libsofthsm2.so) the scripts themselves are tested.
#   KEEP     not empty: the working folder stays
#
# Everything that is started is stopped by its own process id when the script ends.
set -euo pipefail

rig=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$rig")
cd "$root"

label=hierarkey-test
so_pin=12345678
user_pin=123456

work=$(mktemp -d "${TMPDIR:-/tmp}/hierarkey.XXXXXX")
started=()
passed=0
failed=0

# Stops a process that this script started, and waits until it is gone.
stop() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

clean_up() {
    local pid
    for pid in ${started[@]+"${started[@]}"}; do
        stop "$pid"
    done
    stop_tpm || true
    if [ -n "${KEEP:-}" ]; then
        printf 'kept: %s\n' "$work" >&2
    else
        rm -rf "$work"
    fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# within SECONDS COMMAND...: repeats the command until it succeeds.
within() {
    local tries=$(($1 * 20))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

# Builds the module unless MODULE names one.
find_module() {
    local target=${CARGO_TARGET_DIR:-$root/target}
    if [ -z "${MODULE:-}" ]; then
        cargo build --quiet --locked --lib </dev/null
        MODULE=$target/debug/libhierarkey.so
    fi
    MODULE=$(readlink -f "$MODULE")
    export MODULE
    [ -r "$MODULE" ] || { printf 'no module: %s\n' "$MODULE" >&2; return 1; }
    case "$MODULE" in
        *softhsm*) kind=softhsm ;;
        *) kind=hierarkey ;;
    esac
}

# A TPM that nobody else uses, and a module that is told of nothing else.
start_tpm() {
    mkdir -p "$work/tpm" "$work/store"
    chmod 0700 "$work/store"
    if [ "$kind" = softhsm ]; then
        printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' \
            "$work/store" >"$work/softhsm2.conf"
        export SOFTHSM2_CONF=$work/softhsm2.conf
        : >"$work/module.log"
        return
    fi
    power_tpm
    printf '[log]\nlevel = "debug"\nfile = "%s"\n' "$work/module.log" >"$work/hierarkey.toml"
    : >"$work/module.log"
    chmod 0600 "$work/module.log" "$work/hierarkey.toml"
    unset HIERARKEY_LOG
    export HIERARKEY_CONF=$work/hierarkey.toml
    export HIERARKEY_STORE=$work/store
    export HIERARKEY_TCTI=swtpm:path=$work/tpm.sock
}

# A resource manager on a bus of our own in front of the emulator, at tabrmd:bus_type=session: what tpm2-abrmd is in the kernel's
# place. Not as a check: what it exports is for all of them.
start_resource_manager() {
    dbus-daemon --session --nofork --nopidfile --address="unix:path=$work/bus" >"$work/bus.log" 2>&1 </dev/null &
    started+=($!)
    within 10 test -S "$work/bus"
    export DBUS_SESSION_BUS_ADDRESS=unix:path=$work/bus
    tpm2-abrmd --session --allow-root --tcti="swtpm:path=$work/tpm.sock" >"$work/abrmd.log" 2>&1 </dev/null &
    started+=($!)
}

# The TPM's power: on, off as by a cut, and off and on again. What was loaded is gone then, what is stored stays. A check, which is
# a process of its own, may do it too: the TPM's process is known by a file.
power_tpm() {
    rm -f "$work/tpm.sock" "$work/tpm.sock.ctrl"
    swtpm socket --tpm2 --tpmstate "dir=$work/tpm" \
        --server "type=unixio,path=$work/tpm.sock" --ctrl "type=unixio,path=$work/tpm.sock.ctrl" \
        --flags not-need-init,startup-clear >"$work/swtpm.log" 2>&1 </dev/null &
    printf '%s' $! >"$work/tpm.pid"
    if ! within 10 test -S "$work/tpm.sock"; then
        printf 'swtpm did not start\n' >&2
        cat "$work/swtpm.log" >&2
        return 1
    fi
}
stop_tpm() {
    local pid
    [ -e "$work/tpm.pid" ] || return 0
    pid=$(cat "$work/tpm.pid")
    rm "$work/tpm.pid"
    stop "$pid"
    # It need not be a child of this process. A dead one that nobody has waited for yet runs no program.
    within 10 test ! -e "/proc/$pid/exe"
}
restart_tpm() {
    [ "$kind" = hierarkey ] || return 0 # another module has none
    stop_tpm
    power_tpm
}

# How many commands the TPM was sent since it started: the module's log has a line for each.
tpm_commands() {
    grep -cE 'hierarkey::tpm.* TPM2_[A-Za-z0-9_]+ -> 0x' "$work/module.log" || true
}

# tpm_commands_since COUNT: the names of those sent later, one a line.
tpm_commands_since() {
    { grep -E 'hierarkey::tpm.* TPM2_[A-Za-z0-9_]+ -> 0x' "$work/module.log" || true; } |
        tail -n "+$(($1 + 1))" | sed -E 's/.* (TPM2_[A-Za-z0-9_]+) -> 0x.*/\1/'
}

# pkcs11-tool on the module; on the token; on the token as its user.
tool() { pkcs11-tool --module "$MODULE" "$@"; }
on_token() { tool --token-label "$label" "$@"; }
# export_public ID FILE: the token's public key as PEM. By p11tool, because pkcs11-tool 0.23 reads memory that it has freed
# when it writes an EC key, and fails now and then.
export_public() { p11tool --provider "$MODULE" --export "pkcs11:token=$label;id=%$1;type=public" --outfile "$2"; }
as_user() { on_token --login --pin "$user_pin" "$@"; }

# The token and its user's PIN. The first slot that has a token is the owner hierarchy's.
make_token() {
    tool --slot-index 0 --init-token --label "$label" --so-pin "$so_pin"
    on_token --login --login-type so --so-pin "$so_pin" --init-pin --pin "$user_pin"
}

# A key pair for the clients that bring none: make_key TYPE ID LABEL [USAGE...]
make_key() {
    local type=$1 id=$2 name=$3
    shift 3
    as_user --keypairgen --key-type "$type" --id "$id" --label "$name" "$@"
}

# check WHAT COMMAND...: one line, and what the command said if it failed.
check() {
    local what=$1 status
    shift
    set +e
    (
        set -e
        "$@"
    ) >"$work/check.out" 2>&1 </dev/null
    status=$?
    set -e
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        printf 'PASS %s: %s\n' "$client" "$what"
    else
        failed=$((failed + 1))
        printf 'FAIL %s: %s (status %s)\n' "$client" "$what" "$status"
        sed 's/^/    | /' "$work/check.out" | tail -n 40
        if [ -s "$work/module.log" ]; then
            tail -n 8 "$work/module.log" | sed 's/^/    log | /'
        fi
    fi
}

# says PATTERN COMMAND...: it succeeds, and its output has a line that matches.
says() {
    local pattern=$1
    shift
    "$@" >"$work/says.out" 2>&1 || { local status=$?; cat "$work/says.out"; return "$status"; }
    cat "$work/says.out"
    grep -qE -e "$pattern" "$work/says.out" || { printf 'it does not say: %s\n' "$pattern"; return 1; }
}

# refuses PATTERN COMMAND...: it fails, for the reason that matches.
refuses() {
    local pattern=$1
    shift
    if "$@" >"$work/says.out" 2>&1; then
        cat "$work/says.out"
        printf 'it was not refused\n'
        return 1
    fi
    cat "$work/says.out"
    grep -qE -e "$pattern" "$work/says.out" || { printf 'it was refused, but not by: %s\n' "$pattern"; return 1; }
}

# page PAGE NAME: the block that docs/PAGE.md shows under NAME, with this machine's folder of libraries for that of the pages.
page() {
    local block
    block=$("$rig/page.sh" "$1.md" "$2")
    printf '%s\n' "${block//x86_64-linux-gnu/$(uname -m)-linux-gnu}"
}

# follow PAGE NAME [FOLDER]: the commands that docs/PAGE.md shows under NAME, as they stand there, in the working folder or the
# one that is given. Where they would ask a person for the PIN, they are given it.
follow() {
    local commands
    commands=$(page "$1" "$2")
    (
        cd "${3:-$work}"
        # shellcheck disable=SC2317 # the page's commands call it
        pkcs11-tool() {
            case " $* " in
                *" --login "*) command pkcs11-tool --pin "$user_pin" "$@" ;;
                *) command pkcs11-tool "$@" ;;
            esac
        }
        export -f pkcs11-tool
        export user_pin module=$MODULE GNUTLS_PIN=$user_pin
        bash -euo pipefail -c "$commands"
    )
}

# serve PAGE NAME LOG: such commands, the last of which is `exec SERVER`, in the background: $server is the server's process.
serve() {
    local commands
    commands=$(page "$1" "$2")
    (
        cd "$work"
        module=$MODULE GNUTLS_PIN=$user_pin exec bash -euo pipefail -c "$commands"
    ) >"$3" 2>&1 </dev/null &
    server=$!
    started+=("$server")
}

# without_tpm WORDS COMMAND...: on a host that has a store but no TPM, and no configuration, the command says nothing that is not
# the client's own: every line matches WORDS. Whether it fails is the client's to decide.
without_tpm() {
    local words=$1
    shift
    [ "$kind" = hierarkey ] || return 0 # another module needs none
    (
        unset HIERARKEY_CONF HIERARKEY_LOG
        export HIERARKEY_STORE=$work/store HIERARKEY_TCTI=device:$work/no-tpm
        "$@"
    ) >"$work/without.out" 2>&1 </dev/null || true
    cat "$work/without.out"
    ! grep -vE -e "$words" "$work/without.out"
}

# free_port: a TCP port of this machine that nobody listens on now; listening PORT: whether somebody does, seen without connecting.
free_port() {
    local port
    while port=$((20000 + RANDOM % 20000)); listening "$port"; do :; done
    printf '%s' "$port"
}
listening() {
    awk -v port="$(printf ':%04X' "$1")" '$2 ~ port "$" && $4 == "0A" { found = 1 } END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# lacks PATTERN FILE: no line of it matches, ignoring case; one that does is shown.
lacks() { ! grep -iE -e "$1" "$2"; }

# begin NAME PROGRAM...: the script's name, and the programs without which it is no test.
begin() {
    client=$1
    shift
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || { printf 'FAIL %s: %s is not installed\n' "$client" "$program"; exit 1; }
    done
    find_module
    start_tpm
}

# version TEXT: which client this is; docs/clients.md has what a machine with Debian 12 says.
version() { printf '%s: with %s\n' "$client" "$1"; }

# The script's own closing line and status.
finish() {
    printf '%s: %s passed, %s failed\n' "$client" "$passed" "$failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
