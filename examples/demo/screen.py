"""What the user sees: a timeline, one progress line, a table at the end.

Colour on a terminal or with FORCE_COLOR, never with NO_COLOR.
"""

import os
import sys
import time

CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}
WHO = {"driver": "bold", "coordinator": "cyan", "worker-a": "blue", "worker-b": "magenta"}
PROGRESS_EVERY = 2.0  # seconds, where the line cannot be rewritten


class Screen:
    def __init__(self, out=sys.stdout):
        self.out = out
        self.terminal = out.isatty()
        self.coloured = not os.environ.get("NO_COLOR") and (self.terminal or bool(os.environ.get("FORCE_COLOR")))
        self.begun = time.time()
        self.last_progress = 0.0

    def paint(self, text: str, *styles: str) -> str:
        if not self.coloured or not styles:
            return text
        return f"\033[{';'.join(str(CODES[style]) for style in styles)}m{text}\033[0m"

    def event(self, who: str, text: str, *styles: str, at: float | None = None) -> None:
        """A line of the timeline."""
        clock = self.paint(f"{(at or time.time()) - self.begun:7.2f} s", "dim")
        name = self.paint(f"{who:<11}", WHO.get(who, "bold"))
        self._line(f"{clock}  {name}  {self.paint(text, *styles)}")

    def title(self, text: str) -> None:
        self._line("\n" + self.paint(text, "bold"))

    def row(self, label: str, value: str) -> None:
        self._line(f"  {label:<34} {value}")

    def check(self, text: str, holds: bool) -> None:
        self._line(f"  {self.paint('held  ', 'green') if holds else self.paint('BROKEN', 'red', 'bold')}  {text}")

    def progress(self, text: str) -> None:
        """Show how far things are: in place on a terminal, now and then elsewhere."""
        if self.terminal:
            self.out.write("\r\033[K" + text[: os.get_terminal_size().columns - 1])
            self.out.flush()
        elif time.time() - self.last_progress >= PROGRESS_EVERY:
            self.last_progress = time.time()
            self._line(text)

    def _line(self, text: str) -> None:
        self.out.write(("\r\033[K" if self.terminal else "") + text + "\n")
        self.out.flush()
