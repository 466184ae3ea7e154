"""A terminal for programs that draw on one: a pseudo-terminal, and what would be seen on its screen."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import pyte


class Terminal:
    """A program on a terminal of so many columns and rows, which is its controlling one."""

    def __init__(self, command: list, columns: int = 80, rows: int = 24, **environment: str):
        self.own, theirs = pty.openpty()
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.heard = b""
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        # Held open, so that the modes which the program has left can be looked at.
        self.theirs = theirs
        self.modes = termios.tcgetattr(theirs)
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("HOMEROOM_", "NO_COLOR"))}
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), env=plain | {"TERM": "xterm-256color"} | environment,
        )

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.own)
        os.close(self.theirs)

    @property
    def text(self) -> str:
        """What is seen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def press(self, keys: str):
        """Keys, one after the other."""
        os.write(self.own, keys.encode())

    def hear(self, wait: float):
        """Takes what the program has drawn; waits so long at most for something."""
        if select.select([self.own], [], [], wait)[0]:
            drawn = os.read(self.own, 65_536)
            self.heard += drawn
            self.stream.feed(drawn)

    def shows(self, *words: str, gone: bool = False) -> str:
        """Waits until all of these are seen, or none of them any more."""
        deadline = time.monotonic() + 60
        while any((word in self.text) == gone for word in words):
            assert time.monotonic() < deadline and self.process.poll() is None, f"{words} in\n{self.text}"
            self.hear(0.2)
        return self.text

    def ends(self) -> int:
        """Waits until the program has ended, and for its last words; its exit code."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
            self.hear(0.05)
        while select.select([self.own], [], [], 0)[0]:
            self.hear(0)
        return self.process.returncode

    def is_restored(self) -> bool:
        """Whether the terminal is as it was found: its modes, its first screen, its cursor."""
        left = self.heard.rfind(b"\x1b[?1049l") > self.heard.rfind(b"\x1b[?1049h") >= 0
        cursor = self.heard.rfind(b"\x1b[?25h") > self.heard.rfind(b"\x1b[?25l")
        return left and cursor and termios.tcgetattr(self.theirs) == self.modes
