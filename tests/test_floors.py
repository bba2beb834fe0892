"""A module imports only from the floors below its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import expire_sessions

PACKAGE = Path(str(expire_sessions.__file__)).parent

LONGEST_FILE = 200

FLOORS = {
    "clock": 0,
    "exceptions": 0,
    "in_use": 0,
    "occasions": 0,
    "problems": 0,
    "reasons": 0,
    "session_info": 0,
    "signals": 0,
    "users": 0,
    "accounts": 0.1,  # says why
    "passwords": 0.2,  # asks which save is that of a login
    "loaded": 0.1,  # asks whether anybody listens
    "tracebacks": 0.1,  # knows what is raised
    "presets": 0,
    "setting": 0.05,  # says what it raises
    "conf": 0.1,
    "installed": 0.1,  # so does it
    "guard": 0.1,
    "protocol": 0.1,
    "lazy": 0.2,  # asks who was loaded
    "notices": 0.2,
    "limits": 0.25,  # reads settings
    "context": 0.3,  # carries limits
    "clients": 0.4,
    "access": 0.5,  # names devices
    "answers": 0.5,
    "endings": 0.4,  # sends signals
    "transport": 1,
    "flows": 2,
    "telling": 2.4,
    "store": 2.5,
    "acting": 2.6,  # asks stores whose they are
    "claims": 2.55,
    "lifetimes": 2.6,
    "noticing": 2.7,
    "backend": 3,
    "models": 3,
    "user_index": 3,
    "mending": 4,
    "history": 4.1,
    "sessions": 4,
    "lookback": 4,
    "pending": 4,
    "choices": 4.1,  # asks what sessions there are
    "middleware": 4.2,  # keeps who is pending
    "adoption": 4.2,  # has the history make rows
    "admin": 5,
    "checks": 5,
    "context_processors": 5,
    "receivers": 5,
    "templatetags": 5,
    "testing": 5,
    "views": 5,
    "apps": 6,
    "management": 6,
    "urls": 6,
}
"""A fraction orders neighbours on one floor."""


def files_of(module: str) -> list[Path]:
    """Return the file of a module, or those of a package."""
    path = PACKAGE / f"{module}.py"
    return [path] if path.exists() else [*PACKAGE.joinpath(module).rglob("*.py")]


def imports_of(module: str) -> set[str]:
    """Return the modules of this package that a module imports, itself left out."""
    nodes = [
        node
        for path in files_of(module)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import by its full name is what is read here"
            root, _, rest = str(node.module).partition(".")
            if root == PACKAGE.name:
                names = {alias.name for alias in node.names}
                found |= {rest.split(".")[0]} if rest else names
        if isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith(f"{PACKAGE.name}.")
            }
    return found - {module}


def test_every_module_has_a_floor() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in PACKAGE.glob("*/*.py")} - {"migrations"}
    assert modules | packages == set(FLOORS)


@pytest.mark.parametrize("module", FLOORS)
def test_a_module_imports_only_from_below(module: str) -> None:
    above = {name for name in imports_of(module) if FLOORS[name] >= FLOORS[module]}
    assert above == set()


def test_the_protocol_knows_no_client_and_no_django() -> None:
    imported = {
        name.partition(".")[0]
        for path in files_of("protocol")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in modules_of(node)
    }
    assert imported - sys.stdlib_module_names == {PACKAGE.name}


def modules_of(node: ast.AST) -> list[str]:
    """Return the full names of the modules that a statement imports."""
    if isinstance(node, ast.ImportFrom):
        return [str(node.module)]
    return [each.name for each in node.names] if isinstance(node, ast.Import) else []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=str)
def test_no_file_is_too_long_to_be_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST_FILE


def test_the_engine_imports_without_the_app_registry() -> None:
    program = (
        "from django.conf import settings; settings.configure();"
        "import expire_sessions.backend; from django.apps import apps;"
        "assert not apps.ready"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
