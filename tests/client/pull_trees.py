"""Small data sets to pull, the command line to pull them with, and a store behind a relay that counts and holds."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_servers import LocalServer
from tiny_pictures import SIZE, jpeg, mask

from gygo.client import connect
from gygo.progress import ShownProgress
from gygo.pull.plan import Request
from gygo.pull.run import Summary, pull

GYGO = str(Path(sys.executable).parent / "gygo")


def write(root: Path, path: str, content: bytes | str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_video(
    root: Path,
    name: str,
    shown: Sequence[tuple[int, ...] | None],
    *,
    stems: Sequence[str] | None = None,
    mode: str = "P",
    suffix: str = ".jpg",
    seed: int = 0,
    size: tuple[int, int] = SIZE,
    resolution: str = "480p",
) -> None:
    """A video whose masks show these values, None where a frame has no mask."""
    for index, values in enumerate(shown):
        stem = f"{resolution}/{name}/{stems[index] if stems else f'{index:05d}'}"
        write(root, f"JPEGImages/{stem}{suffix}", jpeg(seed + index, size))
        if values is not None:
            write(root, f"Annotations/{stem}.png", mask(values, mode, size))


def write_split(root: Path, split: str, *names: str) -> None:
    write(root, f"ImageSets/2017/{split}.txt", "".join(f"{name}\n" for name in names))


def files_of(root: Path, *tops: str) -> dict[str, bytes]:
    """Every file below these folders of a tree, by its path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for top in tops or ("JPEGImages", "Annotations")
        for path in sorted((root / top).rglob("*"))
        if path.is_file()
    }


def pulled(url: str, name: str, out: Path, **more: object) -> Summary:
    """Pulls in this process."""
    return pull(connect(url, patience=5), Request(name, out, **more), ShownProgress(quiet=True))  # type: ignore[arg-type]


def command(*arguments: str | Path) -> list[str]:
    return [GYGO, *map(str, arguments)]


def environment(url: str, **more: str) -> dict[str, str]:
    """That of a user of the service: without the store's keys."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GYGO_"))}
    return {**kept, "GYGO_URL": url, **more}


def run_gygo(url: str, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        command(*arguments), env=environment(url, **more), capture_output=True, text=True, timeout=120, check=False
    )


class HoldingStore(LocalServer):
    """A relay in front of the store. It counts what goes to clients; held, it sends no more after so many bytes."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.sent = 0
        self.hold_after: int | None = None
        #: Set when a client waits for what is held back.
        self.holding = threading.Event()
        self.go_on = threading.Event()
        self.lock = threading.Lock()
        super().__init__(_Relay)

    def release(self) -> None:
        """Hold no more."""
        self.hold_after = None
        self.go_on.set()

    def __exit__(self, *raised: Any) -> None:
        self.release()
        super().__exit__(*raised)


class _Relay(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        store = self.server.owner
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", store.target)) as upstream:
            threading.Thread(target=self._requests, args=(upstream,), daemon=True).start()
            while data := upstream.recv(16384):
                with store.lock:
                    held = store.hold_after is not None and store.sent + len(data) > store.hold_after
                    store.sent += 0 if held else len(data)
                if held:
                    store.holding.set()
                    store.go_on.wait(60)
                    return  # whoever waited has gone
                self.request.sendall(data)

    def _requests(self, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(16384):
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)
