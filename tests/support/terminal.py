"""The command as an operator at a terminal runs it."""

import os
import pty
import select
import time


def at_a_terminal(incident, answers, *args, before=b""):
    """Run the command as an operator at a terminal does; ``answers`` are typed at the questions, in turn.

    ``before`` is typed, or pasted, as soon as the command runs.
    """
    argv, environ = incident.argv(*args), incident.environ(TERM="xterm", COLUMNS="100", LINES="40")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(incident.folder)
        os.execve(argv[0], argv, environ)
    os.write(terminal, before)
    shown, left, answered = b"", list(answers), 0
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        shown += more
        if left and shown.count(b"anything else stops.") > answered and b"s to answer:" in shown:
            answered += 1
            os.write(terminal, left.pop(0).encode())
    status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace"), incident.latest()


def asked(record):
    """What stands in the record of the questions and their answers."""
    return [
        each["event"] for each in record["timeline"] if each["event"].startswith("asked at the terminal: ")
    ]
