"""The one table of settings: name, type, default, unit, help, limits. Flags, environment names and documentation come from it.

A value given as a flag wins over one in the environment (`DGS_…`), that over the default. Commands call `load`; everything else
gets values handed in and never looks at the environment itself.
"""

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

from dgs.core.deployment import IDLE_ITEMS
from dgs.core.errors import InputError

ENV_PREFIX = "DGS_"
SECRET = "(secret)"
"""Shown in place of a secret's value."""


def _setting(
    default: object,
    help_text: str,
    *,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    """Describe a setting. The dataclass field that it becomes is the only place where its default stands."""
    about = {"help": help_text, "unit": unit, "least": least, "most": most, "choices": choices, "secret": secret}
    return field(default=default, metadata=about)


@dataclass(frozen=True, slots=True)
class Settings:
    """Values of all settings; every field is one line of the table."""

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8700, "TCP port to listen on; 0 takes a free one", least=0, most=65535)
    partitions: int = _setting(4, "partitions of record-batches, fixed for a deployment's life", least=1, most=4096)
    serving_partitions: int = _setting(2, "partitions of sample-batches, fixed for a deployment's life", least=1, most=4096)
    samplers: int | None = _setting(
        None, "sampler processes; 0 runs all in one process; unset: max(1, min(partitions, cores - 1))", least=0, most=4096
    )
    data_dir: Path | None = _setting(None, "directory that keeps the deployment")  # noqa: RUF009  # a description, not a call
    bus: str | None = _setting(None, "URL of the bus; unset: local files under data_dir")
    coordinator: str | None = _setting(None, "address of the coordinator, for the other processes of a deployment")
    advertise: str | None = _setting(
        None, "URL under which the other processes of a deployment reach this one; unset: that of host and port"
    )
    shared_port: int | None = _setting(
        None, "TCP port at which several serving processes of this host take connections", least=1, most=65535
    )
    health_port: int | None = _setting(
        None, "TCP port of a sampler process for /livez, /readyz and /metrics; 0 takes a free one; unset: none", least=0, most=65535
    )
    frontends: int = _setting(2, "serving processes of a cluster on this host", least=1, most=4096)
    copies: int = _setting(1, "processes that have each serving partition", least=1, most=64)
    fsync: str = _setting("never", "never survives kill -9, batch survives power loss", choices=("never", "batch"))
    lag_bytes_max: int = _setting(
        64 << 20, "loaders pause while a record partition is further behind; 0 for no limit", unit="bytes", least=0, most=1 << 62
    )
    lag_entries_max: int = _setting(10_000, "the same on Kafka, whose logs count entries", unit="entries", least=0, most=1 << 62)
    log_bytes_max: int = _setting(
        0, "records are refused while their log partition is larger; 0 for no limit", unit="bytes", least=0, most=1 << 62
    )
    disk_free_min_bytes: int = _setting(
        256 << 20, "records are refused while less space is free for the logs; 0 for no limit", unit="bytes", least=0, most=1 << 62
    )
    idle_items: int = _setting(
        IDLE_ITEMS, "a serving partition drops a row that nothing needed for so long", unit="applied items", least=1, most=1 << 31
    )
    commit_interval_ms: int = _setting(100, "how long changes are gathered for one commit", unit="ms", least=1, most=60_000)
    snapshot_interval_s: float = _setting(
        60.0,
        "least time between two snapshots of a serving partition; 0 for none but those of checkpoints",
        unit="s",
        least=0,
        most=86_400,
    )
    checkpoint_url: str | None = _setting(
        None, "where checkpoints go: a folder, or a URL such as s3://bucket/folder; unset: checkpoints under data_dir"
    )
    checkpoint_interval_s: float = _setting(
        600.0, "time between two checkpoints; 0 for none but those asked for", unit="s", least=0, most=31_536_000
    )
    checkpoints_kept: int = _setting(2, "newest checkpoints that stay", unit="checkpoints", least=1, most=10_000)
    standby_after_s: float = _setting(
        0.0,
        "a sampler writes only what no other copy has written for so long; 0 for one that writes at once",
        unit="s",
        least=0,
        most=3600,
    )
    standbys: int = _setting(0, "stand-by copies of each sampler process of a cluster on this host", least=0, most=8)
    apply_slice_ms: int = _setting(2, "how long entries are applied before requests get their turn", unit="ms", least=1, most=1000)
    seeds_max: int = _setting(1024, "seeds that one POST /samples may name", unit="seeds", least=1, most=1 << 20)
    body_bytes_max: int = _setting(1 << 20, "size of a request's body", unit="bytes", least=1024, most=1 << 30)
    kafka_security_protocol: str = _setting(
        "PLAINTEXT", "how Kafka's brokers are talked to", choices=("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
    )
    kafka_sasl_mechanism: str = _setting(
        "PLAIN", "how Kafka's brokers check the password", choices=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    )
    kafka_sasl_username: str | None = _setting(None, "user that Kafka's brokers know")
    kafka_sasl_password: str | None = _setting(None, "that user's password; better in the environment than as a flag", secret=True)
    kafka_ssl_cafile: Path | None = _setting(None, "certificates (PEM) that Kafka's brokers are trusted by; unset: the system's")  # noqa: RUF009  # a description, not a call
    kafka_ssl_certfile: Path | None = _setting(None, "own certificate (PEM), where Kafka's brokers want one")  # noqa: RUF009  # as above
    kafka_ssl_keyfile: Path | None = _setting(None, "key (PEM) of that certificate, unless it is in the same file")  # noqa: RUF009  # as above
    kafka_compression_type: str = _setting(
        "lz4", "how entries are compressed on Kafka", choices=("none", "gzip", "snappy", "lz4", "zstd")
    )
    kafka_replication_factor: int | None = _setting(
        None, "replicas of a topic that is made on Kafka; unset: as the brokers have it", unit="replicas", least=1, most=64
    )
    kafka_min_insync_replicas: int | None = _setting(
        None,
        "replicas that have to take an entry of a topic that is made; unset: as the brokers have it",
        unit="replicas",
        least=1,
        most=64,
    )
    kafka_max_message_bytes: int = _setting(
        16 << 20, "largest batch that a topic takes that is made on Kafka", unit="bytes", least=1 << 20, most=1 << 30
    )
    kafka_group_prefix: str = _setting("dgs", "consumer groups that show the lag are called PREFIX-sampler and PREFIX-serving")
    retry_timeout_s: float = _setting(60.0, "how long a service that is away is tried for", unit="s", least=0, most=86_400)
    log_level: str = _setting("info", "least severe level that is logged", choices=("debug", "info", "warning", "error"))
    log_format: str = _setting("text", "text for people, json for machines", choices=("text", "json"))

    def sampler_processes(self, cores: int) -> int:
        """Return how many sampler processes there are on a machine with so many cores."""
        return max(1, min(self.partitions, cores - 1)) if self.samplers is None else self.samplers


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table; `type` is str, int, float or Path, and `optional` allows None (unset)."""

    name: str
    type: type[str] | type[int] | type[float] | type[Path]
    optional: bool
    default: object
    unit: str
    help: str
    least: float | None
    most: float | None
    choices: tuple[str, ...]
    secret: bool

    @property
    def env(self) -> str:
        """The name in the environment."""
        return ENV_PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return "--" + self.name.replace("_", "-")

    def read(self, value: object, source: str) -> object:
        """Return a value as its type; texts are parsed.

        Raises:
            InputError: names the setting, the value and `source`, where it came from.
        """
        if value is None and self.optional:
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, str | int | float | Path):
                raise ValueError
            if self.type is int and isinstance(value, float):
                raise ValueError
            if value == "":
                raise ValueError
            parsed = self.type(value)  # type: ignore[arg-type]  # int(Path) raises, as everything else that does not fit
        except (ValueError, TypeError):
            raise InputError(f"{self.name} = {value!r} ({source}): not {self._expected()}") from None
        if self.choices and parsed not in self.choices:
            raise InputError(f"{self.name} = {value!r} ({source}): not {self._expected()}")
        # Written so that NaN fails, too.
        if isinstance(parsed, int | float) and not (self.least or 0) <= parsed <= (parsed if self.most is None else self.most):
            raise InputError(f"{self.name} = {value!r} ({source}): not {self._expected()}")
        return parsed

    def shown(self, value: object) -> object:
        """Return a value as it may be shown: a secret's is masked, a path is a text."""
        if value is None or (isinstance(value, int | float) and not self.secret):
            return value
        return SECRET if self.secret else str(value)

    def _expected(self) -> str:
        if self.choices:
            return " or ".join(self.choices)
        if self.least is None:
            return "a text that is not empty" if self.type is str else "a path"
        kind = "an integer" if self.type is int else "a number"
        return f"{kind} from {self.least} to {self.most}{f' {self.unit}' if self.unit else ''}"


def _table() -> tuple[Setting, ...]:
    hints = get_type_hints(Settings)
    return tuple(_line(f, hints[f.name]) for f in fields(Settings))


def _line(f: "Field[Any]", hint: Any) -> Setting:
    assert f.default is not MISSING, "a setting without a default"
    parts = get_args(hint)
    return Setting(f.name, parts[0] if parts else hint, type(None) in parts, f.default, **f.metadata)


class Source(Enum):
    """Where a value comes from; the first that gives one wins."""

    FLAG = auto()
    ENVIRONMENT = auto()
    DEFAULT = auto()


class Found(NamedTuple):
    """The value of a setting, and where it comes from."""

    value: object
    source: Source


SETTINGS = _table()
"""All settings, in the order of the documentation."""
OF_KAFKA = tuple(s.name for s in SETTINGS if s.name.startswith("kafka_"))
"""Names of those that matter where the bus is Kafka."""


def load(flags: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """Return the settings: a flag wins over the environment, that over the default.

    Args:
        flags: values by setting name; None means that the flag was not given.
        environ: the process's environment.

    Raises:
        InputError: with every bad value; names the setting, the value and where it came from.
    """
    values: dict[str, Any] = {name: found.value for name, found in explain(flags, environ).items()}
    return Settings(**values)


def explain(flags: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, Found]:
    """Return the value of every setting by name, and where it comes from; arguments and errors as those of `load`."""
    known = {s.name for s in SETTINGS}
    assert set(flags) <= known, f"flags that are no settings: {set(flags) - known}"
    found: dict[str, Found] = {}
    problems: list[str] = []
    for s in SETTINGS:
        try:
            if (flag := flags.get(s.name)) is not None:
                found[s.name] = Found(s.read(flag, f"from {s.flag}"), Source.FLAG)
            elif s.env in environ:
                found[s.name] = Found(s.read(environ[s.env], f"from the environment variable {s.env}"), Source.ENVIRONMENT)
            else:
                found[s.name] = Found(s.default, Source.DEFAULT)
        except InputError as e:
            problems += e.problems
    if problems:
        raise InputError(problems)
    return found


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a warning for every DGS_ variable of the environment that is no setting, with the setting that may be meant."""
    known = [s.env for s in SETTINGS]
    warnings = []
    for name in sorted(n for n in environ if n.startswith(ENV_PREFIX) and n not in known):
        near = difflib.get_close_matches(name, known, 1)
        warnings.append(f"{name} is no setting and is ignored{f'; did you mean {near[0]}?' if near else ''}")
    return warnings
