"""Systems other than Linux: what they lack is used only where its absence is handled."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests import ROOT

MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline"}
OS = (
    *("fork", "forkpty", "setsid", "killpg", "nice", "getuid", "geteuid", "getgid", "getpgid"),
    *("mkfifo", "mknod", "chown", "sched_getaffinity", "sysconf", "statvfs", "getloadavg", "wait"),
    *("wait3", "wait4", "waitid", "WNOHANG", "pread", "pwrite", "sync", "uname", "O_NONBLOCK"),
    *("O_ASYNC", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "register_at_fork", "setpriority"),
)
SIGNAL = (
    *("SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE", "SIGCHLD", "SIGQUIT"),
    *("SIGXCPU", "SIGXFSZ", "SIGPROF", "setitimer", "getitimer", "alarm", "pause", "sigwait"),
    *("pthread_kill", "pthread_sigmask"),
)
NAMES = {*(f"os.{name}" for name in OS), *(f"signal.{name}" for name in SIGNAL)}
ANY = re.compile("|".join(re.escape(name) for name in (*MODULES, *NAMES)))
HANDLED = ("ImportError", "AttributeError")
ASKED = ("hasattr(", "os.name", "sys.platform")


def lacking(path: Path) -> Iterator[str]:
    """What a module uses, outside of a `try` or an `if` for it, that some systems lack."""
    text = path.read_text("utf-8")
    if not ANY.search(text):
        return
    handled: set[int] = set()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        safe: list[ast.stmt] = []
        if isinstance(node, ast.Try):
            caught = "".join(ast.unparse(h.type) for h in node.handlers if h.type is not None)
            safe = node.body if any(name in caught for name in HANDLED) else []
        elif isinstance(node, ast.If) and any(part in ast.unparse(node.test) for part in ASKED):
            safe = node.body
        handled |= {id(child) for part in safe for child in ast.walk(part)}
    for node in ast.walk(tree):
        used: set[str] = set()
        if isinstance(node, ast.Import):
            used = {alias.name for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            used = ({node.module or ""} & MODULES) | (whole & NAMES)
        elif isinstance(node, ast.Attribute):
            used = {f"{getattr(node.value, 'id', '')}.{node.attr}"} & NAMES
        if id(node) not in handled:
            yield from used


def test_what_other_systems_lack_is_used_only_where_its_absence_is_handled() -> None:
    assert not [
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "musicgen").rglob("*.py")
        for name in lacking(path)
    ]


PROGRAM = """
import sys
import musicgen
from musicgen import formats
from musicgen.system.files import write_bytes
from musicgen.corpus.preparation import prepare
if __name__ == "__main__":
    tune = musicgen.load("celtic-rnn").generate(seed=1, bars=4)
    for suffix in (".abc", ".mid", ".svg"):  # the last in a child process
        write_bytes("tune" + suffix, formats.rendered([tune], suffix))
    bodies = (b"ABcd efga|" * 4, b"dcBA defg|" * 4)
    others = b"".join(b"X:1\\nM:4/4\\nL:1/8\\nK:D\\n%s]\\n\\n" % body for body in bodies)
    write_bytes("others.abc", others)
    prepare("others.abc", folder="tokens", workers=2, val=0, test=0)
"""


def test_music_is_made_where_a_system_has_no_locks_and_no_limits(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    for name in MODULES:
        (absent / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(absent), str(ROOT)))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {"tune.abc", "tune.mid", "tune.svg", "tokens"} <= {p.name for p in tmp_path.iterdir()}
    assert not list(tmp_path.glob(".*"))
