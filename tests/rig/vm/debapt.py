# SPDX-License-Identifier: MIT
"""A private apt: packages of other Debian suites, without touching the machine's own apt.

It uses the machine's mirror and download settings and checks signatures with the Debian archive
keyring. Nothing is installed: packages are downloaded and unpacked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from cache import VmError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = ("apt-get", "apt-cache", "apt-config", "dpkg-deb", "tar")
DOCUMENTATION = ("./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/info")

MAIN_INDEX = re.compile(r"'(?P<mirror>.+)/dists/(?P<suite>[^/]+)/main/binary-")


def machine_mirror() -> str:
    """The Debian mirror that this machine's apt is configured to use."""
    if chosen := os.environ.get("ZCRX_DEBIAN_MIRROR"):
        return chosen
    release = _os_release()
    if release.get("ID") != "debian":
        raise VmError("not a Debian system: name a Debian mirror in ZCRX_DEBIAN_MIRROR")
    suites = {release.get("VERSION_CODENAME", ""), "stable", "testing", "unstable", "sid"}
    # What it would fetch: known even where it never has.
    for line in _output(["apt-get", "update", "--print-uris"]).splitlines():
        index = MAIN_INDEX.match(line)
        if index and index["suite"] in suites:
            return index["mirror"]
    raise VmError("no Debian mirror in this machine's apt sources")


def check_tools() -> None:
    """Complain unless packages can be fetched and checked here."""
    for tool in TOOLS:
        if not shutil.which(tool):
            raise VmError(f"{tool} is not installed")
    if not KEYRING.exists():
        raise VmError(f"{KEYRING} is missing (package debian-archive-keyring)")


class Apt:
    """Package lists of some suites, kept in a directory of their own."""

    def __init__(self, directory: Path, suites: Sequence[str], architecture: str = "") -> None:
        """ARCHITECTURE: of the packages, where it is not this machine's."""
        check_tools()
        self.directory = directory
        self._archives = directory / "var/cache/apt/archives"
        for part in ("etc/apt", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial",
                     "var/lib/dpkg"):  # fmt: skip
            (directory / part).mkdir(parents=True, exist_ok=True)
        (directory / "var/lib/dpkg/status").touch()
        mirror = machine_mirror()
        (directory / "etc/apt/sources.list").write_text(
            "".join(f"deb [signed-by={KEYRING}] {mirror} {suite} main\n" for suite in suites)
        )
        self._config = directory / "apt.conf"
        self._config.write_text(
            _download_settings() + _private_settings(directory) + _architecture(architecture)
        )

    def update(self) -> None:
        """Fetch the package lists."""
        self.run("apt-get", "-q", "update", "--error-on=any")

    def download_with_dependencies(self, packages: Iterable[str]) -> list[Path]:
        """Fetch PACKAGES and all that they depend on; the .deb files."""
        self.run("apt-get", "-q", "-y", "--download-only", "install", *packages)
        return sorted(self._archives.glob("*.deb"))

    def download(self, packages: Iterable[str], target: Path) -> list[Path]:
        """Fetch PACKAGES alone into the directory TARGET; the .deb files."""
        self.run("apt-get", "-q", "download", *packages, cwd=target)
        return sorted(target.glob("*.deb"))

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run an apt command on the private lists; its output."""
        environment = os.environ | {"APT_CONFIG": str(self._config)}
        return _output(command, environment, cwd)


def unpack(package: Path, root: Path, leave_out: Sequence[str] = DOCUMENTATION) -> None:
    """Unpack the files of a .deb under ROOT (whose /lib may be a link to usr/lib)."""
    tar = ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(root)]
    tar += [f"--exclude={pattern}" for pattern in leave_out]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as deb:
        unpacked = subprocess.run(tar, stdin=deb.stdout, check=False)
    if deb.returncode or unpacked.returncode:
        raise VmError(f"cannot unpack {package.name}")


def _download_settings() -> str:
    """The machine's own settings of how to fetch (proxies and the like)."""
    dump = _output(["apt-config", "dump", "--no-empty"])
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith("Acquire::"))


def _private_settings(directory: Path) -> str:
    # A lagging mirror serves lists past their date: their signatures are still checked.
    return (
        f'Dir "{directory}";\n'
        f'Dir::State::status "{directory}/var/lib/dpkg/status";\n'
        'Dir::Etc::netrc "/etc/apt/auth.conf";\n'
        'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'Acquire::Languages "none";\n'
        'Acquire::PDiffs "false";\n'
        'Dir::Cache::pkgcache "";\n'
        'Dir::Cache::srcpkgcache "";\n'
        'Acquire::Retries "3";\n'
        'APT::Install-Recommends "false";\n'
        'APT::Sandbox::User "root";\n'
    )


def _architecture(name: str) -> str:
    return f'APT::Architecture "{name}";\nAPT::Architectures {{ "{name}"; }};\n' if name else ""


def _os_release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name: value.strip('"') for name, _, value in pairs}


def _output(
    command: Sequence[str], environment: dict[str, str] | None = None, cwd: Path | None = None
) -> str:
    try:
        result = subprocess.run(
            command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    except OSError as error:
        raise VmError(f"cannot run {command[0]}: {error.strerror}") from error
    if result.returncode:
        raise VmError(f"{' '.join(command[:3])}: {_reason(result.stderr)}")
    return result.stdout


def _reason(stderr: str) -> str:
    """The line of apt's complaint that tells most."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E: ")]
    return (errors or lines or ["failed"])[0].removeprefix("E: ")
