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

from conftest import COMMAND_SECS, JOB_SECS, MAX_INSTALLED_BYTES, MAX_PACKAGE_BYTES, TARGET, report, run, sealed_job

BASE = TARGET / "ci-tools" / "debian-root"
# What dpkg writes down about itself; everything else must be as it was.
BOOKKEEPING = ("var/lib/dpkg/", "var/log/", "var/cache/ldconfig/", "var/cache/debconf/")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A Debian of its own, made once a machine and copied for each run."""
    if not (BASE / "made").exists():
        shutil.rmtree(BASE, ignore_errors=True)
        BASE.mkdir(parents=True)
        codename = next(line for line in open("/etc/os-release") if line.startswith("VERSION_CODENAME")).strip().split("=")[1]
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", codename, BASE / "root", seconds=900)
        # The installer of Debian writes this file, debootstrap does not.
        (BASE / "root/etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        (BASE / "made").touch()
    copy = tmp_path_factory.mktemp("debian") / "root"
    run("cp", "-a", BASE / "root", copy)
    return copy


def inside(root, *command, **options):
    """Runs a command in the root, in a name space of its own with /proc, /sys, /dev and a fresh set of pseudo-terminals."""
    script = (
        'root=$1; shift; mount -t proc proc "$root/proc" && mount --rbind /sys "$root/sys" && mount -t tmpfs tmpfs "$root/dev" && '
        'for device in null zero urandom random tty; do touch "$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device"; done && '
        'mkdir "$root/dev/pts" "$root/dev/shm" && mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts" && '
        'ln -s pts/ptmx "$root/dev/ptmx" && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8 '
        'AWS_EC2_METADATA_DISABLED=true chroot "$root" "$@"'
    )
    wrapped = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", root, *command]
    return run(*wrapped, **options)


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
    report(capsys, f"{deb.name}: {deb.stat().st_size / 1e6:.1f} MB, installed {installed / 1e6:.1f} MB")
    assert deb.stat().st_size <= MAX_PACKAGE_BYTES
    assert installed <= MAX_INSTALLED_BYTES


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


def test_installed_used_and_removed_without_a_trace(deb, root, capsys):
    before = listing(root)
    shutil.copy(deb, root / "tmp/coldbench.deb")
    inside(root, "dpkg", "--install", "/tmp/coldbench.deb")
    (root / "tmp/coldbench.deb").unlink()
    assert inside(root, "coldbench", "--version").startswith("coldbench ")

    # From the installed files: the image that lies in /usr/share, not the one inside the program, is flashed too.
    sealed_job(inside(root, "coldbench", "demo", "--terminal", "--json", seconds=JOB_SECS))
    serve_answers(root)
    udev = inside(root, "coldbench", "udev-rule")
    assert udev == (root / "usr/lib/udev/rules.d/70-coldbench.rules").read_text()
    report(capsys, f"start of the installed program: {start_ms(root):.0f} ms (median of 5, to its version)")

    said = inside(root, "dpkg", "--remove", "coldbench")
    assert ".local/share/coldbench" in said, said
    inside(root, "dpkg", "--purge", "coldbench", check=False)
    after = listing(root)
    changed = {place for place in before.keys() | after.keys() if before.get(place) != after.get(place)}
    assert not changed, sorted(changed)[:20]


def serve_answers(root):
    """`demo --serve` answers: its port can be listed and its cloud be asked, by the installed program itself."""
    script = """
        set -e
        dir=$(mktemp -d); mkfifo "$dir/facts"
        coldbench demo --serve --json --dir "$dir/sandbox" > "$dir/facts" & served=$!
        read -r facts < "$dir/facts"
        site=$(printf '%s' "$facts" | sed 's/.*"site_file":"\\([^"]*\\)".*/\\1/')
        export AWS_ACCESS_KEY_ID=$(printf '%s' "$facts" | sed 's/.*"access_key_id":"\\([^"]*\\)".*/\\1/')
        export AWS_SECRET_ACCESS_KEY=$(printf '%s' "$facts" | sed 's/.*"secret_access_key":"\\([^"]*\\)".*/\\1/')
        port=$(printf '%s' "$facts" | sed 's/.*"ports":\\["\\([^"]*\\)".*/\\1/')
        coldbench flash --port "$port" --reset none --image /usr/share/coldbench/firmware --ledger "$dir/ledger" --json
        coldbench doctor --site "$site" --ledger "$dir/ledger" --json || true
        kill -INT $served; wait $served || true
        rm -rf "$dir"
    """
    said = inside(root, "bash", "-c", script, seconds=JOB_SECS)
    findings = {event["what"]: event for event in map(json.loads, said.splitlines()) if "what" in event and "state" in event}
    assert findings["login"]["state"] == "good", findings
    assert findings["broker"]["state"] == "good", findings


def start_ms(root):
    times = []
    for _ in range(5):
        begun = time.monotonic()
        subprocess.run(["chroot", root, "coldbench", "--version"], stdout=subprocess.DEVNULL, timeout=COMMAND_SECS, check=True)
        times.append(time.monotonic() - begun)
    return statistics.median(times) * 1000
