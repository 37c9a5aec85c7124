"""The child processes: started, listened to, told what to do, and always ended by their id."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).parent


class Node:
    """One node process. Its events arrive in the queue that all nodes share, marked with its name."""

    def __init__(self, name: str, script: str, arguments: list[str], events: queue.Queue, logs: Path):
        self.name = name
        self.log = logs / f"demo-{name}.log"
        with self.log.open("a") as log:
            self.popen = subprocess.Popen(
                [sys.executable, HERE / script, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
                # Ctrl-C at the terminal is for the driver, which then ends its children itself.
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    @property
    def pid(self) -> int:
        return self.popen.pid

    def command(self, kind: str, **fields) -> None:
        self.popen.stdin.write(json.dumps({"kind": kind, **fields}) + "\n")
        self.popen.stdin.flush()

    def kill(self) -> None:
        """kill -9, by process id."""
        os.kill(self.pid, signal.SIGKILL)
        self.popen.wait()

    def end(self, patience: float = 5.0) -> bool:
        """Close its input, which ends it; kill it when that takes too long. Whether it ended by itself, well."""
        try:
            self.popen.stdin.close()
        except OSError:
            pass  # it is gone already
        try:
            return self.popen.wait(patience) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    def _listen(self, events: queue.Queue) -> None:
        for line in self.popen.stdout:
            try:
                events.put({"from": self.name, **json.loads(line)})
            except ValueError:
                events.put({"from": self.name, "kind": "said", "text": line.rstrip()})
        events.put({"from": self.name, "kind": "ended", "process": self.pid, "status": self.popen.wait()})
