"""wrk, a load generator in C: it asks as fast as it is answered, and leaves nearly all of the cores to the server.

It looks at the status of an answer and at nothing else; `perf.client` is there to have answers checked.
"""

import json
import shutil
import subprocess
from pathlib import Path

from perf.client import Load, RefusedError

SCRIPT = Path(__file__).with_name("requests.lua")


def missing() -> str | None:
    """Return what to do where wrk is not installed; None where it is."""
    return None if shutil.which("wrk") else "wrk is not installed (apt-get install wrk)"


def run(load: Load) -> tuple[int, float]:
    """Ask for one seed at a time, in a closed loop; return how many answers there were in how many seconds.

    Raises:
        RefusedError: an answer was not 200, or did not come.
    """
    command = ["wrk", "--threads", "1", "--connections", load.connections, "--duration", f"{max(1, round(load.seconds))}s"]
    command += ["--script", SCRIPT, f"http://127.0.0.1:{load.port}", "--", load.vertices, load.seed]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(f"wrk ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["failed"] or not found["requests"]:
        raise RefusedError(f"{found['failed']} of {found['requests']} requests of wrk failed")
    return found["requests"], found["seconds"]
