"""kill_at.py PID STEP: kills process PID as it enters its STEP-th system call, over all threads, that changes what is
on the disk. Prints `ready` when every thread is watched. Exits with 0 after the kill, with 1 when the process ended first.

strace counts each thread for itself, and a step may be taken by any thread of a pool; hence this.
"""

import ctypes
import os
import signal
import struct
import sys

# x86-64: ftruncate fsync fdatasync rename mkdir link unlink mkdirat unlinkat renameat linkat renameat2
STEPS = {77, 74, 75, 82, 83, 86, 87, 258, 263, 264, 265, 316}
SEIZE, INTERRUPT, SYSCALL, GET_SYSCALL_INFO = 0x4206, 0x4207, 24, 0x420E
TRACE_SYSGOOD, TRACE_CLONE, WAIT_ALL = 1, 8, 0x40000000
ENTRY = 1

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, tid, address=0, data=0):
    if libc.ptrace(request, tid, address, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {tid}")


def entered(tid):
    """Number of the system call that the thread is entering, if it is entering one."""
    info = ctypes.create_string_buffer(88)
    libc.ptrace(GET_SYSCALL_INFO, tid, ctypes.sizeof(info), ctypes.addressof(info))
    return struct.unpack_from("<Q", info, 24)[0] if info.raw[0] == ENTRY else None


def attach(pid):
    """Threads may start while others are attached: look again until there is no new one."""
    known = set()
    while new := {int(t) for t in os.listdir(f"/proc/{pid}/task")} - known:
        for tid in new:
            ptrace(SEIZE, tid, 0, TRACE_SYSGOOD | TRACE_CLONE)
            ptrace(INTERRUPT, tid)
        known |= new


def main(pid, step):
    attach(pid)
    print("ready", flush=True)
    taken = 0
    while True:
        try:
            tid, status = os.waitpid(-1, WAIT_ALL)
        except ChildProcessError:
            return 1
        if not os.WIFSTOPPED(status):
            continue
        stop, deliver = os.WSTOPSIG(status), 0
        if stop == signal.SIGTRAP | 0x80:
            taken += entered(tid) in STEPS
            if taken == step:
                os.kill(pid, signal.SIGKILL)
                return 0
        elif not status >> 16:
            deliver = stop
        try:
            ptrace(SYSCALL, tid, 0, deliver)
        except OSError:
            pass  # the thread ended meanwhile; waitpid tells


if __name__ == "__main__":
    if os.uname().machine != "x86_64":
        sys.exit("the numbers of system calls here are those of x86-64")
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
