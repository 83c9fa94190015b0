# Of the reports in valgrind's logs those that are the module's own: a frame is in the module, or in the SQLite that is part of it.
# Of a program's own leaks, of which tests have many, it says nothing. Prints them, and ends with status 1 if there is one.
function judge() {
    if (ours && !kept && !(unwritten && seeded)) {
        print FILENAME ":" report
        found = 1
    }
    report = ""
    ours = kept = unwritten = seeded = 0
}
# One program's log ends where the next begins.
FNR == 1 { judge() }
{ sub(/^==[0-9]+== ?/, "") }
/^$/ { judge(); next }
{ report = report "\n" $0 }
/: hierarkey::|<hierarkey::|\(in .*\/libhierarkey\.so\)|\(sqlite3\.c:/ { ours = 1 }
# A library that is unloaded without C_Finalize, and a forked child's copy of its parent's, are never dropped: nothing runs then, or
# what would run belongs to the parent. One that refused C_Initialize keeps its log, to say why. That C_Finalize drops both
# tests/life.rs holds to the byte.
/ArcInner<hierarkey::(provider::Provider|os::log::Target)>/ { kept = 1 }
# `pkcs11-tool --test` seeds with bytes of its stack that it never wrote.
/uninitialised/ { unwritten = 1 }
/: C_SeedRandom / { seeded = 1 }
END {
    judge()
    exit found
}
