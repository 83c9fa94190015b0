#!/bin/sh
# Under the name of one of tpm2-tools: runs it, and drops what it left in the TPM, as a resource manager would.
# tpm2_ptool runs several of them for one key, which a TPM that nobody manages has no room for.
"/usr/bin/${0##*/}" "$@"
status=$?
/usr/bin/tpm2_flushcontext --transient-object >/dev/null 2>&1
exit "$status"
