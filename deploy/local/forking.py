"""Programs that are forked from a process which has imported what they need, where many of them are started.

A service imports for two seconds before it does anything, and the tests start a hundred of them. What is started so is
a process as any other, with a session, an environment and files of its own; how long a start takes, it cannot show.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence

#: what the holder of the processes has handlers for, and a fresh process has not
_HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP)
_FILES_AT_MOST = 4096


class Forked:
    """One such process: what `subprocess.Popen` offers, as far as the leash asks for it."""

    def __init__(
        self, module: str, arguments: Sequence[str], env: Mapping[str, str], cwd: str, outputs: tuple[int, int]
    ) -> None:
        """Run `module` as `python -m` does; `outputs` are open files, for what it says and what it says of faults."""
        self.returncode: int | None = None
        # A signal that comes between the fork and the child's own handlers must not go to the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            self.pid = os.fork()
            if not self.pid:
                _become(module, arguments, env, cwd, outputs)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it), None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """Return the exit code once it has ended."""
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it is known to have ended."""
        if self.returncode is None:
            os.kill(self.pid, number)


def preload(modules: Sequence[str]) -> None:
    """Import what the processes share; raises RuntimeError where that starts a thread, which no fork would have."""
    for module in modules:
        importlib.import_module(module)
    if threading.active_count() > 1:
        message = f"Importing {', '.join(modules)} starts threads."
        raise RuntimeError(message)
    # None of it is garbage: nor need the processes look through it, each in a copy of its own.
    gc.collect()
    gc.freeze()


def _become(module: str, arguments: Sequence[str], env: Mapping[str, str], cwd: str, outputs: tuple[int, int]) -> None:
    """Turn into a process of its own, run the program to its end and exit as it says."""
    code = 1
    try:
        os.setsid()
        _take_files(outputs)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        sys.argv = [module, *arguments]
        code = _exit_code_of(module)
    except BaseException:
        traceback.print_exc()
    finally:
        # Whatever happens, this process must not come back to the parent's code, which it has as well.
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _take_files(outputs: tuple[int, int]) -> None:
    with open(os.devnull) as nothing:  # noqa: PTH123 -- nothing that takes long to import in the leash
        os.dup2(nothing.fileno(), 0)
    for number, output in enumerate(outputs, start=1):
        os.dup2(output, number)
    os.closerange(3, _FILES_AT_MOST)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # they are what Python itself has opened


def _exit_code_of(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 -- what the interpreter does in its end
        atexit._run_exitfuncs()  # noqa: SLF001 -- the same
    return 0
