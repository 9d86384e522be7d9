"""The jars of Apache Kafka, resolved by Maven once and kept in `.kafka/` beside the tests; and what runs them."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".kafka"
"""Ignored by git."""
_POM = Path(__file__).with_name("pom.xml")
_JVM = ("-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class MissingError(Exception):
    """Java or Maven is not installed."""


def java(*arguments: object, logging: Path | None = None) -> list[str]:
    """Return the command line of a class of Kafka; `logging` configures its log, of which there is none otherwise.

    Raises:
        MissingError: it cannot be run here.
    """
    program = shutil.which("java")
    if program is None:
        raise MissingError("Kafka needs java, which is not installed (apt-get install default-jre-headless)")
    log = [] if logging is None else [f"-Dlog4j2.configurationFile={logging}"]
    return [program, *_JVM, *log, "-cp", f"{_jars()}/*", *map(str, arguments)]


def _jars() -> Path:
    """Return the folder of the jars, after Maven has filled it."""
    HOME.mkdir(exist_ok=True)
    complete = HOME / f"jars-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
    with (HOME / "lock").open("w") as lock:  # several test runs may come at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            _resolve(complete)
    return complete


def _resolve(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingError("Kafka's jars are resolved by mvn, which is not installed (apt-get install maven)")
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    command = [maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={draft}"]
    done = subprocess.run([*command, "-DincludeScope=runtime"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"mvn did not resolve Kafka's jars:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    draft.replace(folder)
