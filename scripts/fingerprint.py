"""Print one digest of the Rust sources and manifests under the given files and folders."""

import hashlib
import sys
from pathlib import Path

SUFFIXES = {".rs", ".toml", ".lock", ".json", ".md"}


def files(arguments):
    """Every source file named or contained, in a stable order."""
    for argument in map(Path, arguments):
        found = argument.rglob("*") if argument.is_dir() else [argument]
        yield from sorted(path for path in found if path.is_file() and path.suffix in SUFFIXES)


def main():
    digest = hashlib.sha256()
    for path in files(sys.argv[1:]):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.as_posix()} {content}\n".encode())
    print(digest.hexdigest())


main()
