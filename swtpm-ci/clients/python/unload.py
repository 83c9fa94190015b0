"""Loads the module, uses it, unloads it, and looks whether anything of it is left in the process; three times."""

import _ctypes
import ctypes
import os

path = os.environ["module"]


def mapped():
    with open("/proc/self/maps") as maps:
        return [line for line in maps if os.path.basename(path) in line]


threads = len(os.listdir("/proc/self/task"))
for _ in range(3):
    library = ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    assert mapped()
    assert library.C_Initialize(None) == 0
    count = ctypes.c_ulong()
    assert library.C_GetSlotList(1, None, ctypes.byref(count)) == 0 and count.value
    assert len(os.listdir("/proc/self/task")) == threads
    assert library.C_Finalize(None) == 0
    # A call that comes too late, from some exit handler, is refused.
    assert library.C_GetSlotList(1, None, ctypes.byref(count)) == 0x190
    _ctypes.dlclose(library._handle)
    assert not mapped(), mapped()
print("nothing is left")
