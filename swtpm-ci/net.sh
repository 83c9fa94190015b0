# shellcheck shell=bash disable=SC2154 # $work, $rig, $user_pin are lib.sh's
# Two hosts on one cable, each a network, mount and process namespace of its own: what a client does to addresses, routes,
# /etc and /run it does to its namespace. Sourced first by scripts of clients that speak to each other.
#
# The hosts live as long as the check that plugs them together. With the first process of a process namespace all
# others in it die, also those that went to the background, so nothing here is ever stopped by name.

# Namespaces are root's to make; who is not root is it in one that anybody may make.
if [ "$(id -u)" != 0 ]; then
    exec unshare --user --map-root-user "$0" "$@"
fi

declare -A host_of=()

# Ends the hosts, and with them whatever runs on them.
unplug() {
    local name
    for name in "${!host_of[@]}"; do
        kill -KILL "${host_of[$name]}" 2>/dev/null || true
        wait "${host_of[$name]}" 2>/dev/null || true
    done
    host_of=()
}

# host NAME: it has a /run of its own. The working folder is common, and so are the TPM and the lock files by which its users take
# turns: the hosts are containers of one machine.
host() {
    mkdir -p "$work/$1.run"
    rm -f "$work/$1.up"
    # Its shell is the first process there, and reaps daemons that end.
    # shellcheck disable=SC2016 # expanded by the host's shell
    unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc sh -euc '
        mount -t tmpfs tmpfs "$0.run"
        if [ -d /run/hierarkey ]; then
            mkdir "$0.run/hierarkey"
            mount --bind /run/hierarkey "$0.run/hierarkey"
        fi
        mount --rbind "$0.run" /run
        ip link set lo up
        : >"$0.up"
        sleep 1000 &
        wait' "$work/$1" >"$work/$1.host" 2>&1 </dev/null &
    host_of[$1]=$!
    within 10 test -e "$work/$1.up" || { cat "$work/$1.host"; return 1; }
}

# on NAME COMMAND...: the command on that host, in the present folder.
on() {
    local pid=${host_of[$1]}
    shift
    # shellcheck disable=SC2016 # expanded by the inner shell
    nsenter "--net=/proc/$pid/ns/net" "--mount=/proc/$pid/ns/mnt" "--pid=/proc/$pid/ns/pid_for_children" \
        sh -c 'cd "$0" && exec "$@"' "$PWD" "$@"
}

# plug LEFT RIGHT: two hosts, 192.0.2.1 and 192.0.2.2, until the end of the check.
plug() {
    trap unplug EXIT
    host "$1"
    host "$2"
    nsenter "--net=/proc/${host_of[$1]}/ns/net" ip link add name cable type veth peer name cable netns "${host_of[$2]}"
    on "$1" ip address add 192.0.2.1/24 dev cable
    on "$2" ip address add 192.0.2.2/24 dev cable
    on "$1" ip link set cable up
    on "$2" ip link set cable up
}

# follow_on HOST PAGE NAME: the commands that docs/PAGE.md shows under NAME, on that host; none of them needs a PIN.
follow_on() {
    local commands
    commands=$("$rig/page.sh" "$2" "$3")
    module=$MODULE on "$1" bash -euo pipefail -c "$commands"
}

# logs PATTERN FILE [TIMES]: whether the file has so many lines that match, now.
logs() { [ "$(grep -cE -e "$1" "$2" 2>/dev/null || true)" -ge "${3:-1}" ]; }
# never PATTERN FILE...: whether none of them has such a line; if one has, it is shown.
never() { ! grep -E -e "$@"; }
