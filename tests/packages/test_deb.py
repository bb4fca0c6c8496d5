"""The Debian package: checked by lintian, installed into a throw-away Debian, used there, removed without a trace."""

import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import time

import pytest

from conftest import COMMAND_SECS, JOB_SECS, TARGET, is_small, report, run, sealed_job

BASE = TARGET / "ci-tools" / "debian-root"
DEBOOTSTRAP_SECS = 900
# What dpkg writes down about itself; everything else must be as it was.
BOOKKEEPING = ("var/lib/dpkg/", "var/log/", "var/cache/ldconfig/", "var/cache/debconf/")


class Debian:
    """A Debian of its own: dpkg and the program run in it, in a name space with fresh /proc, /dev and pseudo-terminals."""

    SCRIPT = (
        'root=$1; shift; mount -t proc proc "$root/proc" && mount --rbind /sys "$root/sys" && mount -t tmpfs tmpfs "$root/dev" && '
        'for device in null zero urandom random tty; do touch "$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device"; done && '
        'mkdir "$root/dev/pts" "$root/dev/shm" && mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts" && '
        'ln -s pts/ptmx "$root/dev/ptmx" && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8 '
        'AWS_EC2_METADATA_DISABLED=true chroot "$root" "$@"'
    )

    def __init__(self, folder):
        self.made_once()
        self.root = folder / "root"
        self.shared = pathlib.Path("/usr/share/coldbench")
        run("cp", "-a", BASE / "root", self.root, seconds=DEBOOTSTRAP_SECS)
        self.start("true")

    @staticmethod
    def made_once():
        if (BASE / "made").exists():
            return
        codename = next(line for line in open("/etc/os-release") if line.startswith("VERSION_CODENAME")).strip().split("=")[1]
        for attempt in range(3):
            shutil.rmtree(BASE, ignore_errors=True)
            BASE.mkdir(parents=True)
            command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", codename, BASE / "root"]
            try:
                run(*command, seconds=DEBOOTSTRAP_SECS)
                break
            except AssertionError:
                # A download broke off.
                if attempt == 2:
                    raise
        # The installer of Debian writes this file, debootstrap does not.
        (BASE / "root/etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        (BASE / "made").touch()

    def start(self, *command, **options):
        return run("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", self.SCRIPT, "sh", self.root, *command, **options)

    def dpkg(self, *arguments, **options):
        return self.start("dpkg", *arguments, **options)

    def command(self):
        return ["chroot", self.root, "coldbench"]


class Folder:
    """An empty folder with dpkg's book-keeping and nothing else: the program there runs on the libraries of this machine."""

    def __init__(self, folder):
        self.root = folder / "root"
        self.home = folder / "home"
        self.shared = self.root / "usr/share/coldbench"
        for place in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log", "tmp"):
            (self.root / place).mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        self.home.mkdir()

    def start(self, *command, **options):
        kept = {"LC_ALL": "C.UTF-8", "HOME": str(self.home), "AWS_EC2_METADATA_DISABLED": "true"}
        return run(*command, env={**kept, "PATH": f"{self.root}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, **options)

    def dpkg(self, *arguments, **options):
        """Depends on packages that this folder does not have; the scripts of the package run outside, and are told so."""
        package = [self.root / argument.lstrip("/") if argument.startswith("/") else argument for argument in arguments]
        return self.start("dpkg", f"--root={self.root}", "--force-depends,script-chrootless", *package, **options)

    def command(self):
        return [self.root / "usr/bin/coldbench"]


@pytest.fixture(scope="module", params=[Debian, Folder], ids=["debian", "folder"])
def place(request, tmp_path_factory):
    """Where the package is installed. Not everywhere can a Debian be fetched and mounted; the folder is always there."""
    folder = tmp_path_factory.mktemp("place")
    try:
        return request.param(folder)
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        if request.param is Folder:
            raise
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\n    NOT TESTED in a Debian of its own, which could not be made here:\n    {error}")
        pytest.skip("no Debian of its own can be made here")


def listing(root):
    """Every file with its kind, mode, size or target, and digest."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = pathlib.Path(folder, name)
            place = str(path.relative_to(root))
            if place.startswith(BOOKKEEPING):
                continue
            status = path.lstat()
            if path.is_symlink():
                what = os.readlink(path)
            elif path.is_file():
                what = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                what = ""
            found[place] = (oct(status.st_mode), what)
    return found


def test_lintian_finds_no_error(deb):
    said = run("lintian", "--fail-on", "error", "--allow-root", deb, seconds=300)
    assert "E: " not in said, said


def test_it_is_small(deb, capsys):
    installed = int(run("dpkg-deb", "--field", deb, "Installed-Size")) * 1024
    is_small(capsys, deb, installed)


def test_everything_is_in_its_place(deb):
    held = run("dpkg-deb", "--contents", deb)
    for place in [
        "usr/bin/coldbench",
        "usr/share/applications/coldbench.desktop",
        "usr/share/metainfo/io.github.coldbench.coldbench.metainfo.xml",
        "usr/share/icons/hicolor/scalable/apps/coldbench.svg",
        "usr/share/icons/hicolor/256x256/apps/coldbench.png",
        "usr/share/man/man1/coldbench.1.gz",
        "usr/share/man/man1/coldbench-commission.1.gz",
        "usr/share/bash-completion/completions/coldbench",
        "usr/share/zsh/vendor-completions/_coldbench",
        "usr/share/fish/vendor_completions.d/coldbench.fish",
        "usr/lib/udev/rules.d/70-coldbench.rules",
        "usr/share/coldbench/firmware/manifest.toml",
        "usr/share/coldbench/cloud/technician-policy.json",
        "usr/share/doc/coldbench/copyright",
        "usr/share/doc/coldbench/third-party-licences.txt.gz",
    ]:
        assert f"./{place}\n" in held, f"{place} is missing in:\n{held}"
    assert "libc6" in run("dpkg-deb", "--field", deb, "Depends")


def test_installed_used_and_removed_without_a_trace(deb, place, capsys):
    before = listing(place.root)
    shutil.copy(deb, place.root / "tmp/coldbench.deb")
    place.dpkg("--install", "/tmp/coldbench.deb")
    (place.root / "tmp/coldbench.deb").unlink()
    assert place.start("coldbench", "--version").startswith("coldbench ")

    sealed_job(place.start("coldbench", "demo", "--terminal", "--json", seconds=JOB_SECS))
    serve_answers(place)
    udev = place.start("coldbench", "udev-rule")
    assert udev == (place.root / "usr/lib/udev/rules.d/70-coldbench.rules").read_text()
    report(capsys, f"start of the installed program: {start_ms(place):.0f} ms (median of 5, to its version)")

    said = place.dpkg("--remove", "coldbench")
    assert ".local/share/coldbench" in said, said
    place.dpkg("--purge", "coldbench", check=False)
    after = listing(place.root)
    changed = {file for file in before.keys() | after.keys() if before.get(file) != after.get(file)}
    assert not changed, sorted(changed)[:20]


def serve_answers(place):
    """`demo --serve` answers: the image that was installed is flashed through its port, and its cloud is asked."""
    script = """
        set -e
        dir=$(mktemp -d); mkfifo "$dir/facts"
        coldbench demo --serve --json --dir "$dir/sandbox" > "$dir/facts" & served=$!
        trap 'kill -INT $served; wait $served || true; rm -rf "$dir"' EXIT
        read -r facts < "$dir/facts"
        site=$(printf '%s' "$facts" | sed 's/.*"site_file":"\\([^"]*\\)".*/\\1/')
        export AWS_ACCESS_KEY_ID=$(printf '%s' "$facts" | sed 's/.*"access_key_id":"\\([^"]*\\)".*/\\1/')
        export AWS_SECRET_ACCESS_KEY=$(printf '%s' "$facts" | sed 's/.*"secret_access_key":"\\([^"]*\\)".*/\\1/')
        port=$(printf '%s' "$facts" | sed 's/.*"ports":\\["\\([^"]*\\)".*/\\1/')
        coldbench flash --port "$port" --reset none --image "$1" --ledger "$dir/ledger" --json
        coldbench doctor --site "$site" --ledger "$dir/ledger" --json || true
    """
    said = place.start("bash", "-c", script, "bash", place.shared / "firmware", seconds=JOB_SECS)
    findings = {event["what"]: event for event in map(json.loads, said.splitlines()) if "what" in event and "state" in event}
    assert findings["login"]["state"] == "good", findings
    assert findings["broker"]["state"] == "good", findings


def start_ms(place):
    times = []
    for _ in range(5):
        begun = time.monotonic()
        subprocess.run([*place.command(), "--version"], stdout=subprocess.DEVNULL, timeout=COMMAND_SECS, check=True)
        times.append(time.monotonic() - begun)
    return statistics.median(times) * 1000
