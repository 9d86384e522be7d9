"""The flags of a source: what is understood, what goes together, and what is told before anything is asked of a broker."""

import re

import pytest
from click.testing import CliRunner
from dgs_loader.cli import main
from dgs_loader.offset_info import OffsetInfo
from dgs_loader.source_topic import SourceTopic

from dgs.core.errors import InputError


def test_offset_info_is_a_time_or_offsets() -> None:
    assert OffsetInfo.parse('{"timestamp": 1715000000000}') == OffsetInfo(1715000000000)
    assert OffsetInfo.parse('{"0": 5, "12": 0}') == OffsetInfo(offsets={0: 5, 12: 0})


@pytest.mark.parametrize(
    "text",
    ["", "5", "{}", "[]", '{"timestamp": "x"}', '{"timestamp": -1}', '{"timestamp": 1, "0": 5}', '{"0": true}', '{"x": 1}'],
)
def test_other_offset_info_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--offset-info .* is not understood; it is "):
        OffsetInfo.parse(text)


def test_a_source_has_brokers_a_topic_and_a_group() -> None:
    where = SourceTopic.parse("kafka://a:1,b:2/shop.clicks")
    assert (where.address.brokers, where.topic) == (("a:1", "b:2"), "shop.clicks")
    assert where.with_group("dgs", "id").group == "dgs-loader-id-shop.clicks"
    assert where.with_group("dgs", "").group == "dgs-loader-shop.clicks"
    assert SourceTopic.parse("kafka://a:1/t", "mine").with_group("dgs", "id").group == "mine"


@pytest.mark.parametrize(
    "url", ["", "clicks", "kafka://a:1", "kafka://a:1/", "kafka:///t", "http://a:1/t", "kafka://a/t", "kafka://a:1/t/u"]
)
def test_other_sources_are_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"--source .* is not understood; it is kafka://host:9092,host:9092/TOPIC"):
        SourceTopic.parse(url)


SOURCE = ["--source", "kafka://a:1/t", "--mapping", __file__]
FILE = ["--data-file", __file__, "--pattern-file", __file__]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either --data-file or --source is needed"),
        ([*SOURCE, *FILE], "either --data-file or --source is needed"),
        (SOURCE[:2], "--source needs --mapping"),
        (FILE[:2], "--data-file needs --pattern-file"),
        ([*SOURCE, "--delimiter", ";"], "--delimiter says nothing about --source"),
        ([*FILE, "--until-end"], "--until-end says nothing about --data-file"),
        ([*FILE, "--group", "x"], "--group says nothing about --data-file"),
        ([*SOURCE, "--barrier", "b"], "with --source it needs --until-end"),
        ([*SOURCE, "--offset-info", "5"], "--offset-info 5 is not understood"),
        (["--source", "kafka://a:1", *SOURCE[2:]], "--source 'kafka://a:1' is not understood"),
        ([*SOURCE, "--dead-letter", __file__], "is the mapping itself, which would be lost"),
    ],
)
def test_flags_that_do_not_go_together_exit_2(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert words in re.sub(r"\s+", " ", done.stderr)
