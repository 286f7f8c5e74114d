# ruff: noqa: T201  a program that runs inside the machine
"""Stop one thread of a process for some seconds, as a call that blocks would; the others go on.

Usage: python3 thread_stop.py THREAD-ID SECONDS
"""

import ctypes
import sys
import time

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207


def main() -> None:
    """Seize it, stop it, wait; it goes on when this process ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    thread = int(sys.argv[1])
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, thread, None, None) != 0:
            sys.exit(f"ptrace: errno {ctypes.get_errno()}")
    print("stopped", flush=True)
    time.sleep(float(sys.argv[2]))


if __name__ == "__main__":
    main()
