"""Holds one process on a leash: when the supervisor is gone, for whatever reason, so is the process.

`switchyard.devstack.supervisor.child` runs it as `python -I -S guard.py STOP_SIGNAL GRACE ACCOUNT LOCK_FD CWD
COMMAND...`, once per process, so it imports little and starts in about 20 ms. ACCOUNT is `uid:gid` or `-`; GRACE is in
seconds.

- Standard input is a pipe (or socket) whose other end only the supervisor holds. One byte is one order: `t` stop,
  `k` kill, `p` pause, `c` continue. End of file means that the supervisor died, kill -9 included: stop.
- Standard output reports to the supervisor: `started PID`, `paused`, `continued`, `exited STATUS` (negative: a signal).
- Standard error becomes the process's standard output and error: its log.
- LOCK_FD is the home folder's lock, held open here so that a home counts as in use until the last process has gone.

On Linux the guard also adopts and ends whatever its process leaves behind (PR_SET_CHILD_SUBREAPER: PostgreSQL's workers
are sessions of their own, which no signal to a process group reaches), and the kernel kills the process when the guard
itself is killed (PR_SET_PDEATHSIG, see prctl(2)). Elsewhere the process group is all there is to signal.
"""

import contextlib
import os
import select
import signal
import sys
import time

ORPHAN_GRACE = 3.0  # seconds to stop by oneself once the supervisor is dead: nobody is left to wait for a drain
LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
STDIN, STDOUT, STDERR = 0, 1, 2


def prctl(option: int, value: int) -> None:
    """Set a process attribute of Linux's prctl(2). Raises OSError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def spawn_child(command: list[str], account: str, cwd: str) -> int:
    """Start `command` in a session of its own and return its pid once it runs. Raises OSError when it cannot be run."""
    guard = os.getpid()
    failed_read, failed_write = os.pipe()  # closed by a successful exec, written to by a failed one
    pid = os.fork()
    if pid == 0:
        try:
            exec_child(command, account, cwd, guard)
        except (OSError, ValueError) as error:
            os.write(failed_write, str(error).encode())
        finally:
            os._exit(127)
    os.close(failed_write)
    with open(failed_read, encoding="utf-8") as failed:  # noqa: PTH123 - a descriptor, not a path
        reason = failed.read()
    if reason:
        os.waitpid(pid, 0)
        raise OSError(reason)
    return pid


def exec_child(command: list[str], account: str, cwd: str, guard: int) -> None:
    """Turn this fork into the process. Does not return."""
    os.setsid()
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, STDIN)
    os.dup2(STDERR, STDOUT)
    if account != "-":
        uid, gid = (int(part) for part in account.split(":"))
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
    if cwd != "-":
        os.chdir(cwd)
    if LINUX:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after setuid, which clears it
        if os.getppid() != guard:
            os._exit(127)
    os.execvp(command[0], command)  # noqa: S606 - running a command is what a guard is for


def list_descendants(child: int) -> list[int]:
    """Everyone to signal: on Linux each descendant of this guard, elsewhere the child's process group."""
    if not LINUX:
        return [-child]
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib would double the start-up time
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as stat:  # noqa: PTH123
                parent = int(stat.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, pending = [], [os.getpid()]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def send_signal(targets: list[int], number: int) -> None:
    """Signal all `targets`; one that has ended meanwhile is no failure."""
    for target in targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, number)


def report_to_supervisor(line: str) -> None:
    """Tell the supervisor, if there still is one."""
    with contextlib.suppress(BrokenPipeError):
        os.write(STDOUT, f"{line}\n".encode())


def reap_children(child: int) -> int | None:
    """Collect every process that has ended; return the child's exit status if it is among them."""
    ended = None
    with contextlib.suppress(ChildProcessError):
        while (result := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if result[0] == child:
                ended = os.waitstatus_to_exitcode(result[1])
    return ended


def kill_descendants(child: int) -> None:
    """End whatever the child has left behind."""
    if not LINUX:
        with contextlib.suppress(PermissionError):  # macOS answers so when the group holds only zombies
            send_signal([-child], signal.SIGKILL)
        return
    with contextlib.suppress(ChildProcessError):
        while True:
            send_signal(list_descendants(child), signal.SIGKILL)
            os.waitpid(-1, 0)


class ShimLoop:
    """The loop that turns orders and signals into signals for the child, until it has ended."""

    def __init__(self, child: int, stop_signal: int, grace: float, wakeup: int) -> None:
        self.child, self.stop_signal, self.grace, self.wakeup = child, stop_signal, grace, wakeup
        self.stopping = False
        self.deadline: float | None = None  # when to kill it
        self.poller = select.poll()
        self.poller.register(STDIN, select.POLLIN)
        self.poller.register(wakeup, select.POLLIN)

    def stop(self, grace: float) -> None:
        """Ask the child to stop; `step` kills it after `grace` seconds. A later call can only shorten the time."""
        if not self.stopping:
            self.stopping = True
            send_signal([-self.child], self.stop_signal)
            send_signal(list_descendants(self.child), signal.SIGCONT)  # a paused process would sleep through it
        deadline = time.monotonic() + grace
        self.deadline = deadline if self.deadline is None else min(self.deadline, deadline)

    def handle_orders(self, orders: bytes) -> None:
        """Carry out orders from the supervisor; none at all means that it died."""
        if not orders:
            self.poller.unregister(STDIN)
            self.stop(ORPHAN_GRACE)
        for order in orders.decode():
            if order == "t":
                self.stop(self.grace)
            elif order == "k":
                send_signal(list_descendants(self.child), signal.SIGKILL)
            elif order == "p":
                send_signal(list_descendants(self.child), signal.SIGSTOP)
                report_to_supervisor("paused")
            elif order == "c":
                send_signal(list_descendants(self.child), signal.SIGCONT)
                report_to_supervisor("continued")

    def step(self) -> int | None:
        """Wait for the next thing to happen and act on it. Returns the child's exit status once it has one."""
        left = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
        for descriptor, _ in self.poller.poll(None if left is None else left * 1000):
            if descriptor == STDIN:
                self.handle_orders(os.read(STDIN, 64))
            elif set(os.read(self.wakeup, 64)) - {signal.SIGCHLD}:
                self.stop(self.grace)
        if self.deadline is not None and time.monotonic() >= self.deadline:
            send_signal(list_descendants(self.child), signal.SIGKILL)
            self.deadline = None
        return reap_children(self.child)


def main(arguments: list[str]) -> int:
    """Run and guard one process; returns its exit code, or 128 + the signal that ended it."""
    stop_signal, grace, account, lock, cwd, *command = arguments
    os.set_inheritable(int(lock), False)
    wakeup_read, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the wake-up pipe does the work; exec resets the handlers
    if LINUX:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        child = spawn_child(command, account, cwd)
    except OSError as error:
        os.write(STDERR, f"cannot run {command[0]}: {error}\n".encode())
        report_to_supervisor("exited 127")
        return 127
    report_to_supervisor(f"started {child}")
    shim_loop = ShimLoop(child, int(stop_signal), float(grace), wakeup_read)
    while (status := shim_loop.step()) is None:
        pass
    kill_descendants(child)
    report_to_supervisor(f"exited {status}")
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
