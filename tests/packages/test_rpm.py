"""The RPM package, read by Debian's rpm; and the portable archive."""

import hashlib
import tarfile

from conftest import is_small, run, the_one

WANTED = {
    "/usr/bin/coldbench",
    "/usr/lib/udev/rules.d/70-coldbench.rules",
    "/usr/share/applications/coldbench.desktop",
    "/usr/share/bash-completion/completions/coldbench",
    "/usr/share/coldbench/cloud/technician-policy.json",
    "/usr/share/coldbench/firmware/truck-board.bin",
    "/usr/share/icons/hicolor/scalable/apps/coldbench.svg",
    "/usr/share/licenses/coldbench/LICENSE-MIT",
    "/usr/share/man/man1/coldbench.1.gz",
    "/usr/share/metainfo/io.github.coldbench.coldbench.metainfo.xml",
}


def query(rpm, *arguments):
    return run("rpm", "--query", "--package", "--dbpath", "/nonexistent-rpm-database", *arguments, rpm)


def test_it_holds_what_it_should_and_its_digests_are_right(rpm):
    run("rpm", "--checksig", "--nosignature", rpm)
    files = set(query(rpm, "--list").split())
    assert WANTED <= files, WANTED - files
    assert not [place for place in files if not place.startswith("/usr/")]
    modes = query(rpm, "--queryformat", "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}\\n]")
    assert "/usr/bin/coldbench -rwxr-xr-x root" in modes
    assert "/usr/share/coldbench/firmware/manifest.toml -rw-r--r-- root" in modes
    assert "udevadm" in query(rpm, "--scripts")


def test_it_says_what_it_is_and_needs(rpm, capsys):
    said = query(rpm, "--queryformat", "%{NAME}|%{LICENSE}|%{ARCH}|%{SUMMARY}")
    assert said.startswith("coldbench|MIT OR Apache-2.0|"), said
    needed = query(rpm, "--requires")
    assert "libc.so.6" in needed, needed
    installed = int(query(rpm, "--queryformat", "%{SIZE}"))
    is_small(capsys, rpm, installed)


def test_the_archive_holds_the_same_program(deb, tmp_path):
    archive = the_one("coldbench-*-linux-gnu.tar.xz")
    run("dpkg-deb", "--extract", deb, tmp_path)
    packaged = hashlib.sha256((tmp_path / "usr/bin/coldbench").read_bytes()).hexdigest()
    with tarfile.open(archive) as held:
        names = held.getnames()
        top = names[0].split("/")[0]
        assert all(name.split("/")[0] == top for name in names), "one folder holds everything"
        assert len({member.mtime for member in held.getmembers()}) == 1, "every time stamp is that of the commit"
        program = held.extractfile(f"{top}/bin/coldbench").read()
    assert hashlib.sha256(program).hexdigest() == packaged
    assert f"{top}/README.txt" in names and f"{top}/lib/udev/rules.d/70-coldbench.rules" in names
