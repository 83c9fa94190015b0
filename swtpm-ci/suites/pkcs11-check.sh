#!/usr/bin/env bash
# pkcs11-check: a conformance client that runs each file of tests in a process of its own.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
version=0.2.3
begin_suite pkcs11-check pkcs11-tool swtpm tpm2_dictionarylockout
# Its AES keys ask for every usage at once, which the module refuses where the administrator does not allow it.
if [ "$kind" = hierarkey ]; then
    sed -i '1i mixed_wrapping_keys = true' "$work/hierarkey.toml"
fi

# It needs Python 3.12. Where there is none the suite is not run, and that is no pass.
python=
for candidate in python3 python3.13 python3.12 "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { printf 'FAIL %s: it needs Python 3.12 or later\n' "$client"; exit 1; }
virtualenv "$python" "pkcs11-check==$version"

# Files of tests are independent, and most of the time is Python's start: they are dealt to as many parts as there are
# processors, each with a token of its own. A part is this script again, told which files are its own.
if [ -z "${PART:-}" ]; then
    parts=${PARTS:-$(nproc)}
    running=()
    for part in $(seq 1 "$parts"); do
        PART=$part PARTS=$parts PART_CASES=$work/cases.$part "$0" &
        running+=($!)
        started+=($!)
    done
    for pid in "${running[@]}"; do
        wait "$pid" || printf 'FAIL %s: a part of it ended with status %s\n' "$client" "$?"
    done
    cat "$cache/logs/$client.$TESTED".[0-9]* >"$cache/logs/$client.$TESTED"
    rm -f "$cache/logs/$client.$TESTED".[0-9]*
    cat "$work"/cases.* >"$work/cases"
    count "$work/cases"
    exit
fi

token_for_suite pkcs11-check 12345678 12345678
tests=$("$venv/bin/python" -c 'import os, pkcs11_check; print(os.path.dirname(pkcs11_check.__file__))')/testcases
mapfile -t files < <(find "$tests" -name 'test_*.py' ! -name '_*' | sort | awk -v part="$PART" -v parts="$PARTS" 'NR % parts == part - 1')
arguments=(--module "$MODULE" --slot 0 --timeout 120 --rv-trace-compact 8 --output json --output-file "$work/results.json")
[ -z "${QUICK:-}" ] || arguments+=(--skip-slow)
# What the suite says of each case is in report.jsonl; its own status only says that something failed.
(
    cd "$work"
    P11TEST_PIN=$user_pin P11TEST_SO_PIN=$so_pin "$venv/bin/pkcs11-check" test "${arguments[@]}" "${ONLY:-${files[@]}}" || true
) >"$cache/logs/$client.$TESTED.$PART" 2>&1 </dev/null
cp "$work/results.json" "$cache/logs/$client.$TESTED.results.$PART.json"
python3 - "$work/results.json" "$work/report.jsonl" >"$PART_CASES" <<'PYTHON'
import json, re, sys

# What the parts of one case came to: its worst.
rank = {"skip": 0, "pass": 1, "fail": 2, "crash": 3}
outcomes, why = {}, {}
def put(name, outcome, reason):
    name = name.split("testcases/")[-1].replace(" ", "_")
    if rank[outcome] >= rank.get(outcomes.get(name), -1):
        outcomes[name] = outcome
        why[name] = " ".join(reason.split())[:300]

for line in open(sys.argv[2]):
    report = json.loads(line)
    if report.get("$report_type") != "TestReport":
        continue
    said, outcome, when = report.get("longrepr"), report["outcome"], report["when"]
    if isinstance(said, dict):
        said = said.get("reprcrash", {}).get("message", "")
    said = str(said or "")
    if outcome == "failed":
        put(report["nodeid"], "fail", said)
    elif outcome == "skipped":
        # An expected failure is no skip for want of something: the suite knows of it and says so.
        put(report["nodeid"], "skip", report.get("wasxfail") and "expected: " + report["wasxfail"] or said)
    elif when == "call":
        put(report["nodeid"], "pass", "")
for unit in json.load(open(sys.argv[1]))["units"]:
    if unit["status"] in ("crashed", "timeout", "error"):
        put(unit["target"], "crash", f"{unit['status']} {unit['returncode']}")
for name in sorted(outcomes):
    print(outcomes[name], name, "#", why[name])
PYTHON
