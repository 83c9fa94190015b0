# shellcheck shell=bash
# Which failing cases of a suite have a reason. Sourced, never run.

# waived_case FILE NAME: whether a line of the file names the case: a shell pattern, a space, the reason.
waived_case() {
    local pattern reason
    [ -r "$1" ] || return 1
    while read -r pattern reason; do
        case "$pattern" in '' | '#'*) continue ;; esac
        # shellcheck disable=SC2053 # it is a pattern
        if [[ "$2" == $pattern ]] && [ -n "$reason" ]; then
            return 0
        fi
    done <"$1"
    return 1
}
