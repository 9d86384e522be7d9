"""The table of settings: which value wins, and what is refused."""

from pathlib import Path

import pytest

from dgs.config import SETTINGS, Settings, load, unknown_variables
from dgs.core.errors import InputError


def test_defaults() -> None:
    assert load({}, {}) == Settings()
    assert Settings().port == 8700
    assert {s.name: s.default for s in SETTINGS} == {s.name: getattr(Settings(), s.name) for s in SETTINGS}


def test_a_flag_wins_over_the_environment() -> None:
    environ = {"DGS_PORT": "1", "DGS_PARTITIONS": "2", "DGS_DATA_DIR": "/x", "DGS_RETRY_TIMEOUT_S": "0.5", "DGS_SAMPLERS": "0"}
    found = load({"port": "5", "host": None, "fsync": "batch"}, environ)
    assert (found.port, found.partitions, found.fsync, found.host) == (5, 2, "batch", "127.0.0.1")
    assert (found.data_dir, found.retry_timeout_s, found.samplers) == (Path("/x"), 0.5, 0)


def test_values_that_are_read_already() -> None:
    assert load({"port": 5, "retry_timeout_s": 2, "data_dir": Path("/x")}, {}).retry_timeout_s == 2.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "x"),
        ("port", ""),
        ("port", "65536"),
        ("port", "-1"),
        ("port", "1.5"),
        ("port", 1.5),
        ("port", True),
        ("partitions", "0"),
        ("samplers", "-1"),
        ("fsync", "always"),
        ("retry_timeout_s", "nan"),
        ("retry_timeout_s", "inf"),
        ("retry_timeout_s", "-1"),
        ("data_dir", ""),
        ("host", ""),
        ("log_level", "loud"),
    ],
)
def test_bad_values_name_setting_value_and_source(name: str, value: object) -> None:
    with pytest.raises(InputError) as e:
        load({name: value}, {})
    assert f"{name} = {value!r} (from --{name.replace('_', '-')}): not " in str(e.value)
    if isinstance(value, str):
        with pytest.raises(InputError, match=f"from the environment variable DGS_{name.upper()}"):
            load({}, {f"DGS_{name.upper()}": value})


def test_every_bad_value_is_told_at_once() -> None:
    with pytest.raises(InputError) as e:
        load({"port": "x"}, {"DGS_FSYNC": "y", "DGS_PORT": "ignored, as the flag wins"})
    assert len(e.value.problems) == 2


def test_unknown_variables() -> None:
    assert unknown_variables({"DGS_PORT": "1", "OTHER": "2"}) == []
    near, far = unknown_variables({"DGS_PARTITION": "1", "DGS_ZZZ": "2"})
    assert "DGS_PARTITION is no setting" in near
    assert "did you mean DGS_PARTITIONS?" in near
    assert far == "DGS_ZZZ is no setting and is ignored"


def test_how_many_sampler_processes() -> None:
    assert [Settings(partitions=4).sampler_processes(cores) for cores in (1, 2, 4, 64)] == [1, 1, 3, 4]
    assert Settings(samplers=0).sampler_processes(8) == 0


def test_every_setting_is_described() -> None:
    for s in SETTINGS:
        assert s.help, s
        assert s.env.startswith("DGS_")
        assert s.type in (str, int, float, Path)
        assert (s.type in (int, float)) == (s.least is not None and s.most is not None)
