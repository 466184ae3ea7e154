"""Half-open handshakes: connections that say one byte of their head in each second, in processes of their own, from addresses of their own.

`Drip` is the test's side. Run as a program, this file is one such process: it reads its order from standard input, a line of JSON, writes
`open` when all its connections are open, and at the end, when the server has ended all of them, how long each lived, in seconds.
"""

import json
import select
import socket
import subprocess
import sys
import time

HEAD = b"GET /ws HTTP/1.1\r\nHost: school.example\r\nUser-Agent: patience\r\n"
AT_ONCE = 200  # connections between two looks at those that are open


class Drip:
    """Several processes that drip at one port. Leaving the context kills those that are left."""

    def __init__(self, port: int, connections: int, processes: int = 2):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.processes = [subprocess.Popen([sys.executable, __file__], **pipes) for _ in range(processes)]
        for number, process in enumerate(self.processes):
            order = {"port": port, "connections": connections // processes, "address": f"127.0.0.{12 + number}"}
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()

    def opened(self):
        """Waits until all have connected."""
        for process in self.processes:
            line = process.stdout.readline()
            assert line == "open\n", line

    def lives(self) -> list[float]:
        """Waits until the server has ended all; how long each lived."""
        return [life for process in self.processes for life in json.loads(process.stdout.readline())]


class Line:
    """One connection."""

    def __init__(self, order: dict):
        self.socket = socket.socket()
        self.socket.bind((order["address"], 0))
        self.socket.connect(("127.0.0.1", order["port"]))
        self.socket.setblocking(False)
        self.began = time.monotonic()
        self.said = 0
        self.next = self.began

    def say(self, now: float):
        """One byte more, when it is time."""
        if now >= self.next and self.said < len(HEAD):
            try:
                self.socket.send(HEAD[self.said:self.said + 1])
            except OSError:
                return  # it is over, which is read
            self.said += 1
            self.next += 1


def main():
    """Opens, drips, and listens for the ends."""
    order = json.loads(sys.stdin.readline())
    poll, lines, lives = select.epoll(), {}, []

    def look(timeout: float):
        for descriptor, _ in poll.poll(timeout):
            try:
                is_over = lines[descriptor].socket.recv(4096) == b""
            except BlockingIOError:
                is_over = False
            except OSError:
                is_over = True
            if is_over:
                poll.unregister(descriptor)
                line = lines.pop(descriptor)
                lives.append(time.monotonic() - line.began)
                line.socket.close()
        now = time.monotonic()
        for line in lines.values():
            line.say(now)

    for number in range(order["connections"]):
        line = Line(order)
        lines[line.socket.fileno()] = line
        poll.register(line.socket, select.EPOLLIN | select.EPOLLRDHUP)
        if number % AT_ONCE == 0:
            look(0)
    print("open", flush=True)
    while lines:
        look(0.1)
    print(json.dumps(lives), flush=True)


if __name__ == "__main__":
    main()
