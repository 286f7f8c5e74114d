# ruff: noqa: T201  a program that runs inside the machine
"""Stop one thread of a process for some seconds, as a call that blocks would; the others go on.

Usage: python3 thread_stop.py THREAD-ID SECONDS
"""

import ctypes
import os
import sys
import time

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WAIT_FOR_THREADS = 0x40000000
LOOK_S = 0.1


def main() -> None:
    """Seize it, stop it, wait; it goes on when this process ends, which it does with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    thread = int(sys.argv[1])
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, thread, None, None) != 0:
            sys.exit(f"ptrace: errno {ctypes.get_errno()}")
    os.waitpid(thread, WAIT_FOR_THREADS)
    print("stopped", flush=True)
    for _ in range(round(float(sys.argv[2]) / LOOK_S)):
        # Who was killed is not gone before whoever stopped it has looked.
        found, status = os.waitpid(thread, os.WNOHANG | WAIT_FOR_THREADS)
        if found and not os.WIFSTOPPED(status):
            return
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main()
