#!/usr/bin/env bash
# Prints a block of commands of a page in docs/, so that a test runs what the page shows.
#
#   swtpm-ci/page.sh PAGE NAME    the fenced block after the line '<!-- run: NAME -->' of docs/PAGE.md
#
# Nothing but blank lines may stand between the two. A block that is absent, empty, not closed or
# there twice is an error: nothing is printed then.
set -euo pipefail

[ $# = 2 ] || { printf 'usage: page.sh PAGE NAME\n' >&2; exit 2; }
page=$(cd "$(dirname "${BASH_SOURCE[0]}")/../docs" && pwd)/${1%.md}.md
[ -r "$page" ] || { printf 'page.sh: there is no page docs/%s.md\n' "${1%.md}" >&2; exit 1; }

awk -v page="docs/${1%.md}.md" -v name="$2" '
    function fail(why) {
        printf "page.sh: %s: run: %s: %s\n", page, name, why >"/dev/stderr"
        failed = 1
        exit 1
    }
    # A mark inside a block is a text like any other.
    state == "block" && $0 ~ "^" fence "+[ \t]*$" { state = ""; next }
    state == "block" { text = text $0 "\n"; next }
    state == "other" && $0 ~ "^" fence "+[ \t]*$" { state = ""; next }
    state == "other" { next }
    $0 ~ /^<!-- run: [^ ]+ -->[ \t]*$/ && $3 == name {
        if (seen++) fail("it is there twice")
        state = "wanted"
        next
    }
    /^(```|~~~)/ {
        fence = substr($0, 1, 3)
        state = state == "wanted" ? "block" : "other"
        next
    }
    state == "wanted" && /[^ \t]/ { fail("no fenced block follows it") }
    END {
        if (failed) exit 1
        if (!seen) fail("it is not there")
        if (state != "") fail("its block is not closed")
        if (text == "") fail("its block is empty")
        printf "%s", text
    }
' "$page"
