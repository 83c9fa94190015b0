#!/usr/bin/env bash
# OpenSSH: keys listed from the token, logins to a server of our own, the agent, and a signed file.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:/usr/sbin:/sbin
begin ssh ssh ssh-keygen ssh-agent sshd pkcs11-tool swtpm
sshd=$(command -v sshd)

# The PIN without a terminal.
printf '#!/bin/sh\necho %s\n' "$user_pin" >"$work/askpass"
chmod 0700 "$work/askpass"
export SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force DISPLAY=${DISPLAY:-:0}
unset SSH_AUTH_SOCK

makes_keys() {
    make_key rsa:2048 01 ssh-rsa --usage-sign
    make_key EC:prime256v1 02 ssh-p256 --usage-sign
}
lists_keys() {
    ssh-keygen -D "$MODULE" >"$work/keys"
    cat "$work/keys"
    grep '^ssh-rsa ' "$work/keys" >"$work/rsa.pub"
    grep '^ecdsa-sha2-nistp256 ' "$work/keys" >"$work/p256.pub"
}

# Not within a check: the server is to be this script's own child, which it can wait for.
start_a_server() {
    ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
    if [ "$(id -u)" = 0 ]; then
        mkdir -p /run/sshd # where a server of root's shuts its unprivileged half in
    fi
    local port tries=4
    while [ "$tries" -gt 0 ]; do
        tries=$((tries - 1))
        port=$((20000 + RANDOM % 20000))
        cat >"$work/sshd_config" <<CONFIG
ListenAddress 127.0.0.1
Port $port
HostKey $work/host_key
PidFile $work/sshd.pid
AuthorizedKeysFile $work/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
CONFIG
        "$sshd" -D -e -f "$work/sshd_config" >"$work/sshd.log" 2>&1 </dev/null &
        started+=($!)
        # Two ways to end: it listens, or another program had the port.
        if within 5 grep -q 'Server listening' "$work/sshd.log"; then
            printf '%s' "$port" >"$work/port"
            return 0
        fi
        stop "$!"
    done
}

listens() {
    cat "$work/sshd.log"
    [ -s "$work/port" ]
}

remote() {
    ssh -F none -p "$(cat "$work/port")" -o StrictHostKeyChecking=no -o "UserKnownHostsFile=$work/known_hosts" \
        -o ConnectTimeout=20 -o PreferredAuthentications=publickey "$@" "$(id -un)@127.0.0.1" 'echo welcome $((6 * 7))'
}
# logs_in PUBLIC-KEY-FILE: the server knows this key only, and the client has no other than the token's.
logs_in() {
    cp "$1" "$work/authorized_keys"
    says 'welcome 42' remote -o IdentityFile=none -o "PKCS11Provider=$MODULE" || { cat "$work/sshd.log"; return 1; }
}
stays_out() {
    ssh-keygen -q -t ed25519 -N '' -f "$work/other"
    cp "$work/other.pub" "$work/authorized_keys"
    refuses 'Permission denied' remote -o IdentityFile=none -o "PKCS11Provider=$MODULE"
}
# with_agent COMMAND...: with an agent of our own that has the token's keys.
with_agent() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    TMPDIR=$work ssh-agent -P "$MODULE" sh -c \
        'ssh-add -s "$MODULE" && "$@"; status=$?; ssh-add -e "$MODULE"; kill "$SSH_AGENT_PID"; exit "$status"' sh "$@"
}
logs_in_by_agent() {
    cp "$work/p256.pub" "$work/authorized_keys"
    # shellcheck disable=SC2016 # expanded by the server's shell
    says 'welcome 42' with_agent ssh -F none -p "$(cat "$work/port")" -o StrictHostKeyChecking=no \
        -o "UserKnownHostsFile=$work/known_hosts" -o ConnectTimeout=20 "$(id -un)@127.0.0.1" 'echo welcome $((6 * 7))'
}
# As git does it with gpg.format=ssh.
signs_a_file() {
    printf 'a commit\n' >"$work/commit"
    rm -f "$work/commit.sig"
    with_agent ssh-keygen -Y sign -n git -f "$1" "$work/commit"
    printf 'me@example.org %s\n' "$(cat "$1")" >"$work/signers"
    says '^Good "git" signature' sh -c "ssh-keygen -Y verify -n git -f '$work/signers' -I me@example.org -s '$work/commit.sig' <'$work/commit'"
}

check "makes a token" make_token
check "makes an RSA and a P-256 key" makes_keys
check "ssh-keygen lists the token's keys" lists_keys
start_a_server
check "a server starts" listens
check "ssh logs in with the RSA key" logs_in "$work/rsa.pub"
check "ssh logs in with the P-256 key" logs_in "$work/p256.pub"
check "ssh stays out where its keys are unknown" stays_out
check "ssh-agent logs in with the P-256 key" logs_in_by_agent
check "ssh-keygen signs a file with the P-256 key" signs_a_file "$work/p256.pub"
check "ssh-keygen signs a file with the RSA key" signs_a_file "$work/rsa.pub"
finish
