"""The shape of the project: imports point down, files stay small, nothing happens at import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

from tests import ROOT

PACKAGE = ROOT / "musicgen"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROGRAMS = [
    path for folder in ("musicgen", "scripts", "tests")
    for path in sorted((PACKAGE.parent / folder).rglob("*.py"))
]  # fmt: skip
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pty.spawn"),
    *("shutil.unpack_archive", "torch.load", "torch.hub.load", "torch.jit.load"),
}
FORBIDDEN_METHODS = {"load_from_checkpoint", "extractall"}
FORBIDDEN_IMPORTS = {
    *("pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml", "code"),
    *("tarfile", "xmlrpc", "telnetlib", "ftplib", "runpy", "commands"),
}
# The only places where an archive is opened, an XML document read, a process started.
ALLOWED = {
    "zipfile": {
        *("formats/musicxml/archive.py", "studio/files.py"),
        *("music/similarity/index.py", "music/similarity/index_file.py"),
    },
    "xml.parsers": {"formats/musicxml/document.py"},
    # The second runs scontrol, with the number of the job.
    "subprocess": {"system/sandbox/__init__.py", "training/cluster.py"},
    "multiprocessing": {"system/workers.py"},
    "ctypes": {"formats/audio/fluid.py"},
}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_package_holds_eleven_packages_and_five_files() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == {
        *("cli", "studio", "evaluation", "composer", "training", "models", "corpus"),
        *("tokens", "formats", "music", "system"),
    }
    assert files == {"__init__.py", "__main__.py", "config.py", "errors.py", "py.typed"}


def test_modules_are_short_and_say_what_they_are() -> None:
    for path in MODULES:
        assert len(path.read_text("utf-8").splitlines()) <= 420, path
        docstring = ast.get_docstring(tree_of(path))
        assert docstring, path
        assert len(docstring.splitlines()[0]) <= 100, path
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # The list of a command's options is a table.
                first = node.body[0].lineno if path.parent.name == "cli" else node.lineno
                assert (node.end_lineno or first) - first < 60, (path, node.name)


def name_of(path: Path) -> str:
    """ "musicgen.music.tune", and of a package its folder's name."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def dependencies(path: Path, modules: set[str]) -> set[str]:
    """Modules that a module imports: anywhere in it, by name in a string too, types aside."""
    tree = tree_of(path)
    typing = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in typing:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            children = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {c if c in modules else node.module or "" for c in children}
        elif isinstance(node, ast.Constant) and re.fullmatch(
            r"musicgen(\.\w+)+(:\w+)?", str(node.value)
        ):
            names.add(str(node.value).partition(":")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy":
            texts = {n.value for n in ast.walk(node.args[1]) if isinstance(n, ast.Constant)}
            names |= {f"{name_of(path)}.{text}" for text in texts}
    return {name for name in names if name in modules} - {name_of(path)}


def test_no_import_comes_back_to_where_it_started() -> None:
    """Imports inside functions and modules that are named in strings count, too."""
    names = {name_of(path) for path in MODULES}
    below = {name_of(path): dependencies(path, names) for path in MODULES}
    while True:
        leaves = {name for name, targets in below.items() if not targets}
        if not leaves:
            break
        below = {name: targets - leaves for name, targets in below.items() if name not in leaves}
    assert below == {}


def test_one_name_is_one_class() -> None:
    classes = Counter(
        node.name
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {name for name, n in classes.items() if n > 1} == set()


@cache
def imported(path: Path) -> set[str]:
    """Names of the modules that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{a.name}" for a in node.names)}
    return names


@cache
def calls(path: Path) -> list[tuple[str, dict[str | None, str]]]:
    """Every call: the function's name as it is written, and the keyword arguments."""
    return [
        (ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords})
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
    ]


def test_nothing_in_a_module_can_run_code_from_a_file() -> None:
    for path in MODULES:
        names = imported(path)
        assert not FORBIDDEN_IMPORTS & {name.split(".")[0] for name in names}, path
        for module, places in ALLOWED.items():
            if any(name == module or name.startswith(f"{module}.") for name in names):
                assert str(path.relative_to(PACKAGE)) in places, module
        for name, keywords in calls(path):
            assert name not in FORBIDDEN_CALLS, path
            assert name.rpartition(".")[2] not in FORBIDDEN_METHODS, path
            assert keywords.get("shell", "False") == "False", path
            assert keywords.get("allow_pickle", "False") == "False", path


def test_states_of_training_are_unpickled_in_one_place_as_weights_only() -> None:
    """By Lightning, for resuming; every other file of a model is safetensors or JSON."""
    found = [
        (str(path.relative_to(PACKAGE)), keywords.get("weights_only"))
        for path in MODULES
        for name, keywords in calls(path)
        if "ckpt_path" in keywords
    ]
    assert found == [("training/run.py", "True")]


def test_music21_never_reads_its_cache() -> None:
    """It would unpickle what anybody can put into the temporary folder."""
    parsed = [
        (path.name, keywords.get("forceSource"))
        for path in PROGRAMS
        if re.search(r"(?:converter|corpus)\.parse", path.read_text("utf-8"))
        for name, keywords in calls(path)
        if re.search(r"(?:converter|corpus)\.parse(?:Data|File|URL)?$", name)
    ]
    assert len(parsed) > 3
    assert [row for row in parsed if row[1] != "True"] == []
    users = [path for path in MODULES if "music21" in imported(path)]
    assert users == [PACKAGE / "formats" / "interop.py"]


def test_every_package_has_a_folder_of_tests_and_no_other_has() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    assert folders == packages | {"end_to_end"}
    for package in packages:
        assert list((ROOT / "tests" / package).glob("test_*.py")), package


def test_no_test_module_imports_another() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        if re.search(r"(from|import) tests.*test_", path.read_text("utf-8")):
            modules = {name for name in imported(path) if name.startswith("tests.")}
            assert not [name for name in modules if ".test_" in name], path


# Calls and assignments that change the whole process, and the only places where they may stand: in
# the command line's own process, in our child processes, or as the comment says.
PROCESS_WIDE = re.compile(
    r"os\.(umask|chdir|fchdir|putenv|unsetenv|nice|dup2|setpriority|sched_setaffinity)"
    r"|os\.environ\.(update|setdefault|pop|clear|popitem)|locale\.setlocale|signal\.(signal|alarm"
    r"|setitimer|pthread_sigmask|set_wakeup_fd)|warnings\.(filterwarnings|simplefilter"
    r"|catch_warnings|resetwarnings)|gc\.(disable|enable|freeze|set_threshold)"
    r"|torch\.(set_\w+|manual_seed|seed|use_deterministic_algorithms|(cuda\.)?manual_seed\w*"
    r"|default_generator\.\w+|random\.manual_seed|autograd\.set_\w+)|pl\.seed_everything"
    r"|(np|numpy)\.(random\.(seed|set_state|rand\w*|shuffle|choice|normal|uniform)|seterr\w*"
    r"|set_printoptions)|random\.(seed|setstate|random|choice|shuffle|randint|sample|uniform)"
    r"|logging\.(basicConfig|disable|setLoggerClass|captureWarnings|addLevelName)"
    r"|\w+\.(setLevel|addHandler|removeHandler|addFilter|removeFilter)"
    r"|sys\.(set\w+|path\.\w+)|threading\.(setprofile|settrace|stack_size)|faulthandler\.\w+"
    r"|resource\.setrlimit|(multiprocessing\.)?set_(start_method|executable)|atexit\.register"
    r"|decimal\.(getcontext|setcontext)|socket\.setdefaulttimeout|csv\.field_size_limit"
    r"|matplotlib\.(use|rc\w*)|rc_context|plt\.\w+|redirect_std\w+|ET\.register_namespace"
    r"|(en|dis)able_progress_bars?|mimetypes\.add_type|codecs\.register\w*|time\.tzset"
)
CONFINED = {
    # the command line's own process
    ("cli/__init__.py", "os.environ.setdefault"), ("cli/__init__.py", "signal.signal"),
    ("__main__.py", "signal.signal"),
    ("cli/results.py", "os.dup2"), ("cli/results.py", "sys.stdout"),
    ("cli/results.py", "sys.stderr"), ("cli/progress.py", "warnings.filterwarnings"),
    ("system/files.py", "os.environ"),  # limit_inputs, which the command line calls
    # child processes of ours
    ("system/workers.py", "os.environ.update"), ("system/sandbox/serving.py", "os.dup2"),
    ("system/sandbox/limits.py", "resource.setrlimit"), ("corpus/reading.py", "gc.disable"),
    ("formats/audio/player.py", "os.environ"),
    # of the calling thread alone, and as before when it is done
    ("system/workers.py", "signal.pthread_sigmask"),
    ("training/process_state.py", "torch.set_flush_denormal"),
    # at exit, our child processes end
    ("system/sandbox/__init__.py", "atexit.register"),
    # while a run or a server lasts, and as before when it is done; the signals only where the
    # program has no handlers of its own
    ("training/callbacks.py", "signal.signal"), ("training/cluster.py", "signal.signal"),
    ("studio/server.py", "signal.signal"),
    ("training/process_state.py", "logger.addFilter"), ("training/run.py", "torch.manual_seed"),
    ("training/process_state.py", "logger.removeFilter"),
    ("training/process_state.py", "random.setstate"),
    ("training/lightning_module.py", "torch.default_generator.manual_seed"),
    ("training/lightning_module.py", "torch.cuda.manual_seed"),
    ("evaluation/inspection/gradients.py", "torch.manual_seed"),
}  # fmt: skip


def process_wide(path: Path) -> set[str]:
    """Calls of a module, or functions that it passes on, that change the process, and assignments
    to attributes of modules that it imports."""
    tree = tree_of(path)
    modules = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }  # fmt: skip
    found = set()
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.Attribute | ast.Name):
            text = ast.unparse(node)
            is_generator = text.startswith("random.") and "random" not in modules
            if PROCESS_WIDE.fullmatch(text) and not is_generator:
                found.add(text)
        for target in targets:
            place = target.value if isinstance(target, ast.Subscript) else target
            text = ast.unparse(place)
            if isinstance(place, ast.Attribute) and text.partition(".")[0] in modules:
                found.add(text)
    return found


def test_only_processes_of_our_own_are_changed_as_a_whole() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), name) for path in MODULES for name in process_wide(path)
    }
    assert found == CONFINED


def test_the_rule_about_the_process_sees_every_way(tmp_path: Path) -> None:
    for number, line in enumerate((
        "os.environ['A'] = 'b'", "del os.environ['A']", "os.umask(0)", "sys.stdout = None",
        "torch.set_num_threads(1)", "run(gc.disable)", "np.seterr(all='raise')",
        "warnings.simplefilter('ignore')", "logger.setLevel(9)", "tempfile.tempdir = '/'",
    )):  # fmt: skip
        program = tmp_path / f"{number}.py"
        program.write_text(f"import os, sys, tempfile\n{line}\n")
        assert process_wide(program), line


def test_what_no_critic_may_use_is_used_by_reports_alone() -> None:
    """The second judge of `evaluate` shares nothing with what chooses, fits or trains."""
    folders = ("musicgen", "scripts")
    importers = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "evaluation.unseen" in path.read_text("utf-8")
    }
    assert importers == {"musicgen/evaluation/report.py"}
