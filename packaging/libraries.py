"""Which libraries the program links on Linux, Windows or macOS, read from Cargo.lock through `cargo metadata`."""

import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGETS = ("x86_64-unknown-linux-gnu", "x86_64-pc-windows-gnu", "aarch64-apple-darwin")


def linked():
    """The libraries, by name and version: what is linked, not what builds or tests. Each knows those it needs, as `linked`."""
    found = {}
    for target in TARGETS:
        command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
        data = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
        packages = {package["id"]: package for package in data["packages"]}
        nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
        macros = {key for key, package in packages.items() if any("proc-macro" in part["kind"] for part in package["targets"])}
        waiting, seen = [data["resolve"]["root"]], set()
        while waiting:
            here = waiting.pop()
            if here in seen or here in macros:
                continue
            seen.add(here)
            if packages[here]["source"]:
                found.setdefault((packages[here]["name"], packages[here]["version"]), packages[here])
            needed = [part["pkg"] for part in nodes[here]["deps"] if any(kind["kind"] is None for kind in part["dep_kinds"])]
            needed = [key for key in needed if key not in macros]
            waiting += needed
            name = (packages[here]["name"], packages[here]["version"])
            if name in found:
                found[name].setdefault("linked", set()).update((packages[key]["name"], packages[key]["version"]) for key in needed)
    return found
