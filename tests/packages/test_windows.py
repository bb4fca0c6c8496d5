"""The Windows installer, installed, used and removed under Wine."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from conftest import JOB_SECS, ROOT, is_small, run, sealed_job

MINGW = "x86_64-w64-mingw32-"
# Wine starts its own services first, which takes long on a busy machine.
WINE_SECS = 300
DEADLINE_SECS = 60


class Wine:
    """A Windows of its own in a folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "COLDBENCH_", "DISPLAY", "WAYLAND"))}
        self.environment = {
            **kept,
            "WINEPREFIX": str(self.folder),
            "WINEDEBUG": "-all",
            "WINEARCH": "win64",
            "WINEDLLOVERRIDES": "bcryptprimitives=n,b;mscoree,mshtml=;winemenubuilder.exe=d",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.program = shutil.which("wine64") or shutil.which("wine") or "/usr/lib/wine/wine64"
        self.start("wineboot", "--init")

    def start(self, *command, seconds=WINE_SECS, check=True):
        return run(self.program, *command, seconds=seconds, check=check, env=self.environment, cwd=self.folder)

    def connect(self, name, device):
        self.start("reg", "add", r"HKLM\Software\Wine\Ports", "/v", name, "/t", "REG_SZ", "/d", str(device), "/f")

    def stop(self):
        server = shutil.which("wineserver") or "/usr/lib/wine/wineserver64"
        run(server, "-k", check=False, env=self.environment)


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    windows = Wine(tmp_path_factory.mktemp("windows"))
    yield windows
    windows.stop()


@pytest.fixture(scope="module")
def crossed(wine, tmp_path_factory):
    """Two serial ports of that Windows that are crossed with each other."""
    folder = tmp_path_factory.mktemp("line")
    ends = [folder / "board", folder / "tool"]
    socat = subprocess.Popen(["socat", *(f"pty,raw,echo=0,link={end}" for end in ends)])
    deadline = time.monotonic() + DEADLINE_SECS
    while not all(end.exists() for end in ends):
        assert time.monotonic() < deadline and socat.poll() is None, "socat made no line"
        time.sleep(0.05)
    for name, end in zip(("COM20", "COM21"), ends):
        wine.connect(name, end.resolve())
    # Ports are read when Windows starts.
    wine.stop()
    yield "COM20=COM21"
    socat.terminate()
    socat.wait(timeout=DEADLINE_SECS)


@pytest.fixture(scope="module")
def installed(wine, setup_exe, tmp_path_factory):
    """Where the installer put the program, with the test's own DLL beside it."""
    wine.start(setup_exe, "/S", "/CurrentUser")
    [program] = wine.folder.glob("drive_c/**/coldbench.exe")
    shim = program.with_name("bcryptprimitives.dll")
    run(f"{MINGW}gcc", "-shared", "-O1", "-o", shim, ROOT / "tests/packages/bcryptprimitives.c", "-ladvapi32")
    return program


def test_it_is_small_and_holds_everything(setup_exe, installed, capsys):
    files = {str(file.relative_to(installed.parent)) for file in installed.parent.rglob("*") if file.is_file()}
    wanted = {
        "coldbench.exe",
        "coldbenchw.exe",
        "uninstall.exe",
        "DRIVERS.txt",
        "third-party-licences.txt",
        "firmware/truck-board.bin",
        "cloud/technician-policy.json",
    }
    assert wanted <= files, wanted - files
    size = sum(file.stat().st_size for file in installed.parent.rglob("*") if file.is_file() and file.name != "bcryptprimitives.dll")
    is_small(capsys, setup_exe, size)


def test_it_asks_only_for_dlls_of_every_windows_10(installed):
    known = set((ROOT / "packaging/windows/system-dlls.txt").read_text().split())
    for name in ("coldbench.exe", "coldbenchw.exe"):
        said = run(f"{MINGW}objdump", "-p", installed.with_name(name))
        asked = {dll.lower() for dll in re.findall(r"DLL Name: (\S+)", said)}
        assert "kernel32.dll" in asked
        assert {dll for dll in asked if not dll.startswith("api-ms-win-")} <= known, asked - known


def test_console_and_window_program_differ_and_both_carry_icon_and_manifest(installed):
    for name, subsystem in (("coldbench.exe", "Windows CUI"), ("coldbenchw.exe", "Windows GUI")):
        file = installed.with_name(name)
        assert f"({subsystem})" in run(f"{MINGW}objdump", "-p", file), name
        held = file.read_bytes()
        assert b"PerMonitorV2" in held and b"longPathAware" in held, "manifest"
        assert "FileDescription".encode("utf-16-le") in held, "version"
        assert b"\x89PNG" in held, "icon"


def test_the_start_menu_and_the_site_profiles_lead_to_the_window(wine, installed):
    assert list(wine.folder.glob("drive_c/**/Coldbench/Coldbench.lnk"))
    said = wine.start("reg", "query", r"HKCU\Software\Classes\Coldbench.SiteProfile\shell\open\command", "/ve")
    assert "coldbenchw.exe" in said and "%1" in said, said


def test_it_tells_its_version_ports_and_findings(wine, installed, crossed):
    assert wine.start(installed, "--version").startswith("coldbench ")
    ports = wine.start(installed, "ports", "--json")
    assert "COM" in ports or ports.strip() == "", ports
    said = wine.start(installed, "doctor", "--json", check=False)
    findings = {event["what"]: event for event in map(json.loads, (line for line in said.splitlines() if line.startswith("{")))}
    assert {"ports", "disk", "record"} <= set(findings), said
    assert re.fullmatch(r"\d+ MiB free", findings["disk"]["found"]), findings["disk"]


def test_an_exit_code_reaches_the_console(wine, installed):
    command = [wine.program, str(installed), "no-such-command"]
    done = subprocess.run(command, env=wine.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=WINE_SECS)
    assert done.returncode == 2
    assert b"no-such-command" in done.stderr


def test_the_whole_job_passes(wine, installed, crossed):
    sealed_job(wine.start(installed, "demo", "--terminal", "--json", "--line", crossed, seconds=JOB_SECS * 2))


def test_a_demo_without_a_line_says_what_is_missing(wine, installed):
    said = wine.start(installed, "demo", "--terminal", check=False)
    assert "--line" in said, said


def test_removed_it_leaves_nothing(wine, installed):
    """Last of all: nothing but the test's own DLL is left."""
    installed.with_name("bcryptprimitives.dll").unlink()
    folder = installed.parent
    wine.start(folder / "uninstall.exe", "/S", "/CurrentUser", f"_?={folder_for_windows(folder)}")
    left = [file for file in folder.rglob("*") if file.name != "uninstall.exe"] if folder.exists() else []
    assert not left, left
    assert not list(wine.folder.glob("drive_c/**/Coldbench.lnk"))
    said = wine.start("reg", "query", r"HKCU\Software\Classes\Coldbench.SiteProfile", check=False)
    assert "coldbenchw" not in said, said


def test_it_is_installed_for_everybody_and_removed_too(wine, setup_exe):
    """With an administrator's rights, which the one user of that Windows has."""
    uninstall = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall\Coldbench"
    wine.start(setup_exe, "/S", "/AllUsers")
    [program] = wine.folder.glob("drive_c/Program Files/**/coldbench.exe")
    assert "AllUsers" in wine.start("reg", "query", uninstall, "/v", "UninstallString")
    folder = program.parent
    wine.start(folder / "uninstall.exe", "/S", "/AllUsers", f"_?={folder_for_windows(folder)}")
    left = [file for file in folder.rglob("*") if file.name != "uninstall.exe"] if folder.exists() else []
    assert not left, left
    assert "UninstallString" not in wine.start("reg", "query", uninstall, check=False)


def folder_for_windows(folder):
    """The uninstaller copies itself away and returns at once, unless it is told its folder this way."""
    parts = folder.parts
    return "C:\\" + "\\".join(parts[parts.index("drive_c") + 1 :])
