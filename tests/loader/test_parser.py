"""Lines to records: every rule of the format, in the fast parser and against the exact one."""

import math

import pytest
from dgs_loader.dead_letters import DeadLetter
from dgs_loader.parser import Parser
from dgs_loader.pattern import PatternFile
from dgs_loader.reader import Block

from dgs.core.layout import Dimension, Layouts
from dgs.core.schema import Schema
from tests.loader.conftest import Record, records_of

I64 = 2**63


@pytest.fixture
def parser(patterns: PatternFile, layouts: Layouts) -> Parser:
    return Parser(patterns, layouts)


def load(parser: Parser, *lines: str | bytes, end: bytes = b"\n") -> tuple[list[Record], list[DeadLetter]]:
    data = b"".join((x.encode() if isinstance(x, str) else x) + end for x in lines)
    batch, letters = parser.parse(Block(data, 1))
    return records_of(batch, parser.layouts), letters


def reason(parser: Parser, line: str | bytes) -> str:
    """Return why a line cannot be loaded, and check that it harms no other line."""
    records, letters = load(parser, "user,1,10,0.5:1", line, "user,2,20,1:2")
    assert [r.ids for r in records] == [(1,), (2,)]
    (letter,) = letters
    assert (letter.line, letter.text) == (2, line.encode() if isinstance(line, str) else line)
    return letter.reason


def edge(*values: str) -> str:
    return ",".join(("u2i", *values))


def item(**values: str) -> str:
    names = ("id", "small", "exact", "label", "counts", "codes", "precise", "note", "big", "timestamp", "feature")
    given = {"id": "5"} | values
    return ",".join(["item", *(given.get(name, "") for name in names)])


def test_vertices_and_edges(parser: Parser) -> None:
    records, letters = load(parser, "user,42,1700000000,0.25:-1.5", "u2i,42,-9001,1700000005,0.5", "i2i,7,8,2,tag,3")
    assert not letters
    assert records == [
        Record("vertex", 0, (-1, -1), (42,), 1700000000, {"timestamp": 1700000000, "feature": [0.25, -1.5]}),
        Record("edge", 2, (0, 1), (42, -9001), 1700000005, {"timestamp": 1700000005, "weight": 0.5}),
        Record("edge", 3, (1, 1), (7, 8), 3, {"timestamp": 3, "weight": 2.0, "label": b"tag"}),
    ]


def test_all_nine_value_types(parser: Parser) -> None:
    line = item(
        small="-2147483648",
        exact="0.1",
        label="grün, nein".replace(",", ";"),
        counts="1:-2",
        codes=str(I64 - 1),
        precise="1e-300:.5:3.",
        note="a:b",
        big=str(-I64),
        timestamp="9",
        feature="1:2",
    )
    (record,), letters = load(parser, line)
    assert not letters
    assert record.values == {
        "small": -2147483648,
        "exact": 0.1,
        "label": "grün; nein".encode(),
        "counts": [1, -2],
        "codes": [I64 - 1],
        "precise": [1e-300, 0.5, 3.0],
        "note": b"a:b",
        "big": -I64,
        "timestamp": 9,
        "feature": [1.0, 2.0],
    }


def test_an_empty_field_is_an_absent_attribute(parser: Parser) -> None:
    records, letters = load(parser, "user,1,,", item(), "u2i,1,2,3,")
    assert not letters
    assert [(r.timestamp, r.values) for r in records] == [(0, {}), (0, {}), (3, {"timestamp": 3})]


@pytest.mark.parametrize("text", [str(I64 - 1), str(-I64), "0", "-0", "007", "+5", " 6", "6  ", "00000000000000000000000000012"])
def test_integers(parser: Parser, text: str) -> None:
    records, letters = load(parser, edge(text, text, text, "1"))
    assert not letters
    assert (records[0].ids, records[0].timestamp) == ((int(text), int(text)), int(text))


@pytest.mark.parametrize(
    "text", ["x", "1_000", "0x10", "1.0", "1e3", "--1", "-", "+", "1 2", "1-2", "٣", "\u00a05", "1\r", ";", "nan", " "]
)
def test_what_is_no_integer(parser: Parser, text: str) -> None:
    if text != "1\r":
        assert reason(parser, edge("1", "2", text, "1")) == f"column 4 (timestamp): {text!r} is not an integer"
    assert reason(parser, edge(text, "2", "3", "1")) == f"column 2 (source): {text!r} is not an integer"
    assert reason(parser, edge("1", text, "3", "1")) == f"column 3 (destination): {text!r} is not an integer"
    assert reason(parser, f"user,{text},3,1:2") == f"column 2 (id): {text!r} is not an integer"


@pytest.mark.parametrize("text", [str(I64), str(-I64 - 1), "9" * 19, "1" + "0" * 19, "9" * 5000])
def test_integers_out_of_range(parser: Parser, text: str) -> None:
    why = reason(parser, edge(text, "2", "3", "1"))
    assert why.startswith("column 2 (source): '")
    assert why.endswith("is out of the range of INT64")
    assert len(why) < 150


@pytest.mark.parametrize("text", ["2147483648", "-2147483649", "9999999999"])
def test_int32_out_of_range(parser: Parser, text: str) -> None:
    assert reason(parser, item(small=text)) == f"column 3 (small): {text!r} is out of the range of INT32"
    assert reason(parser, item(counts=f"1:{text}")) == f"column 6 (counts): element 2: {text!r} is out of the range of INT32"


def test_ids_are_required(parser: Parser) -> None:
    assert reason(parser, "u2i,,2,3,1") == "column 2 (source): no value"
    assert reason(parser, "u2i,1,,3,1") == "column 3 (destination): no value"
    assert reason(parser, "user,,3,1:2") == "column 2 (id): no value"


def test_an_edge_needs_a_timestamp(parser: Parser) -> None:
    assert reason(parser, "u2i,1,2,,1") == "column 4 (timestamp): no value; an edge needs a timestamp"


@pytest.mark.parametrize(
    "text",
    [
        "0.5",
        "-0.0",
        ".5",
        "5.",
        "1e5",
        "1E-5",
        "+1.5",
        " 2 ",
        "0.1234567890123456",
        "123456789012345678",
        "1" * 30,
        "0." + "3" * 40,
    ],
)
def test_decimals_are_what_python_makes_of_them(parser: Parser, text: str) -> None:
    records, letters = load(parser, item(exact=text, precise=f"{text}:1:{text}"))
    assert not letters
    value = records[0].values["exact"]
    assert (value, math.copysign(1, value)) == (float(text), math.copysign(1, float(text)))
    assert records[0].values["precise"] == [float(text), 1.0, float(text)]


@pytest.mark.parametrize("text", ["x", "1.2.3", ".", "-", "1e", "1_0.0", "0x1p3", "1-2", "e5", "--1", "1..2", "infinite"])
def test_what_is_no_decimal(parser: Parser, text: str) -> None:
    assert reason(parser, edge("1", "2", "3", text)) == f"column 5 (weight): {text!r} is not a number"
    assert reason(parser, f"user,1,2,0.5:{text}") == f"column 4 (feature): element 2: {text!r} is not a number"


@pytest.mark.parametrize("text", ["nan", "NaN", "-nan", "inf", "-Infinity", "INF", " inf"])
def test_nan_and_infinity_are_refused(parser: Parser, text: str) -> None:
    assert reason(parser, edge("1", "2", "3", text)) == f"column 5 (weight): {text!r} is not a finite number"
    assert reason(parser, f"user,1,2,{text}:1") == f"column 4 (feature): element 1: {text!r} is not a finite number"


def test_what_overflows_a_float_is_refused(parser: Parser) -> None:
    assert reason(parser, edge("1", "2", "3", "1e39")) == "column 5 (weight): '1e39' is out of the range of FLOAT32"
    assert reason(parser, edge("1", "2", "3", "4" + "0" * 38)).endswith("is out of the range of FLOAT32")
    assert reason(parser, item(exact="-1e309")) == "column 4 (exact): '-1e309' is out of the range of FLOAT64"
    assert load(parser, item(exact="1e39"))[0][0].values == {"exact": 1e39}
    assert load(parser, edge("1", "2", "3", "1e-60"))[0][0].values["weight"] == 0.0


@pytest.mark.parametrize("text", ["-1", "-0.001", "-1e-30", "-3.4028234663852886e38"])
def test_a_negative_weight_is_refused(parser: Parser, text: str) -> None:
    assert reason(parser, edge("1", "2", "3", text)) == f"column 5 (weight): {text!r} is negative"


def test_a_weight_of_zero_is_taken(parser: Parser) -> None:
    records, letters = load(parser, edge("1", "2", "3", "0"), edge("1", "2", "3", "-0"))
    assert not letters
    assert [r.values["weight"] for r in records] == [0.0, 0.0]


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("1:2:3", 3), ("1:", 2), (":", 2), ("1::2", 3)])
def test_a_list_of_another_dimension(parser: Parser, text: str, count: int) -> None:
    why = reason(parser, f"user,1,2,{text}")
    expected = f"{count} elements; the dimension is 2" if count != 2 else f"element {1 if text == ':' else 2}: no value"
    assert why == f"column 4 (feature): {expected}"


def test_an_unknown_type_tells_the_known_names(parser: Parser) -> None:
    known = "the pattern file has i2i, item, u2i, user"
    assert reason(parser, "shop,1,2,3") == f"unknown type 'shop' in column 1; {known}"
    assert reason(parser, "use,1,2,3") == f"unknown type 'use' in column 1; {known}"
    assert reason(parser, "users,1,2,3") == f"unknown type 'users' in column 1; {known}"
    assert reason(parser, ",1,2,3") == f"unknown type '' in column 1; {known}"
    assert reason(parser, "nonsense") == f"unknown type 'nonsense' in column 1; {known}"


def test_a_wrong_number_of_columns(parser: Parser) -> None:
    assert reason(parser, "user") == "1 columns; the pattern of 'user' has 4"
    assert reason(parser, "user,1,2") == "3 columns; the pattern of 'user' has 4"
    assert reason(parser, "user,1,2,3:4,5") == "5 columns; the pattern of 'user' has 4"
    assert reason(parser, "user,1,2,3:4,,") == "6 columns; the pattern of 'user' has 4"


def test_only_one_empty_column_beyond_the_pattern_is_dropped(parser: Parser) -> None:
    records, letters = load(parser, "user,1,2,3:4,", "user,1,2,,", "user,1,2,", "u2i,1,2,3,0.5,")
    assert not letters
    assert [r.values for r in records] == [
        {"timestamp": 2, "feature": [3.0, 4.0]},
        {"timestamp": 2},
        {"timestamp": 2},
        {"timestamp": 3, "weight": 0.5},
    ]


def test_a_column_too_many_is_not_taken_for_a_part_of_the_last_text(schema: Schema, layouts: Layouts) -> None:
    parser = Parser(PatternFile.parse("#EDGE:i2i,#SRC:item,#DST:item,timestamp,label", schema), layouts)
    records, letters = load(parser, "i2i,1,2,3,a", "i2i,1,2,3,a,b", "i2i,1,2,3,a,", "i2i,1,2,3,,", "i2i,1,2,3,,b")
    assert [r.values.get("label") for r in records] == [b"a", b"a", None]
    assert [x.line for x in letters] == [2, 5]


def test_blank_lines_are_nothing_but_are_counted(parser: Parser) -> None:
    records, letters = load(parser, "", "user,1,2,", "", "\r", "oops", "")
    assert [r.ids for r in records] == [(1,)]
    assert [(x.line, x.text) for x in letters] == [(5, b"oops")]


def test_crlf(parser: Parser) -> None:
    records, letters = load(parser, "user,1,2,3:4", "", "u2i,1,2,3,", "i2i,1,2,,x,3,", "oops", end=b"\r\n")
    assert [r.values for r in records] == [
        {"timestamp": 2, "feature": [3.0, 4.0]},
        {"timestamp": 3},
        {"timestamp": 3, "label": b"x"},
    ]
    assert [(x.line, x.text) for x in letters] == [(5, b"oops")]


def test_a_line_that_is_not_utf8(parser: Parser) -> None:
    assert reason(parser, b"i2i,1,2,,caf\xe9,3") == "not UTF-8 (byte 13)"
    assert reason(parser, b"\xff") == "not UTF-8 (byte 1)"
    records, letters = load(parser, "i2i,1,2,,grün,3", b"i2i,1,2,,\xff,4", "i2i,1,2,,日本,5")
    assert [r.values["label"] for r in records] == ["grün".encode(), "日本".encode()]
    assert [x.line for x in letters] == [2]


def test_dead_letters_come_in_the_order_of_lines(parser: Parser) -> None:
    _, letters = load(parser, "u2i,1,2,x,", "ghost,1", b"\xff", "user,1", "", "u2i,1,2,y,")
    assert [x.line for x in letters] == [1, 2, 3, 4, 6]


def test_a_huge_line(parser: Parser) -> None:
    text = "x" * 3_000_000
    records, letters = load(parser, f"i2i,1,2,,{text},3", f"user,1,{'9' * 2_000_000},")
    assert records[0].values["label"] == text.encode()
    assert len(letters[0].reason) < 200
    cut = parser.parse(Block(b"user,1,2," + b"x" * 5000 + b"\n", 7, cut=True))
    assert not len(cut.batch)
    assert (cut.letters[0].line, cut.letters[0].reason) == (7, "longer than 4 MiB; only its beginning is kept here")


def test_other_delimiters(schema: Schema, layouts: Layouts) -> None:
    file = PatternFile.parse("#VERTEX:user\t#ID\ttimestamp\tfeature\n", schema, "\t")
    parser = Parser(file, layouts, delimiter="\t", list_delimiter=" ")
    records, letters = load(parser, "user\t1\t2\t0.5 3", "user,1,2,0.5:3", "user\t1\t2\t0.5:3")
    assert [r.values for r in records] == [{"timestamp": 2, "feature": [0.5, 3.0]}]
    assert [x.line for x in letters] == [2, 3]


def test_reversed_edges_swap_ids_and_types_and_keep_the_order_of_lines(patterns: PatternFile, layouts: Layouts) -> None:
    parser = Parser(patterns, layouts, reversed_edges={2, 3})
    records, _ = load(parser, "i2i,1,2,0.5,a,7", "u2i,5,6,8,1", "i2i,2,1,0.75,b,7", "i2i,3,4,,,7")
    assert [(r.type, r.ends, r.ids, r.timestamp, r.values.get("weight"), r.values.get("label")) for r in records] == [
        (2, (0, 1), (5, 6), 8, 1.0, None),
        (2, (1, 0), (6, 5), 8, 1.0, None),
        (3, (1, 1), (1, 2), 7, 0.5, b"a"),
        (3, (1, 1), (2, 1), 7, 0.5, b"a"),
        (3, (1, 1), (2, 1), 7, 0.75, b"b"),
        (3, (1, 1), (1, 2), 7, 0.75, b"b"),
        (3, (1, 1), (3, 4), 7, None, None),
        (3, (1, 1), (4, 3), 7, None, None),
    ]
    assert len(load(Parser(patterns, layouts, reversed_edges={2}), "i2i,1,2,0.5,a,7")[0]) == 1


def test_the_first_valid_record_of_each_type_tells_its_dimension(patterns: PatternFile, schema: Schema) -> None:
    parser = Parser(patterns, Layouts(schema))

    def unknown(*lines: str) -> list[Dimension]:
        return parser.unknown_dimensions(Block("".join(f"{x}\n" for x in lines).encode(), 1))

    assert unknown("u2i,1,2,3,4", "user,1,2,") == []
    invalid = ["user,1,2,", "user,x,2,1:2:3:4"]
    assert unknown(*invalid, "user,1,2,1:x", "user,1,2,1:2:3", "user,1,2,1:2") == [Dimension("vertex", 0, 2, 3)]
    assert unknown("user,1,2,7", item(feature="1:2:3:4")) == [Dimension("vertex", 0, 2, 1), Dimension("vertex", 1, 2, 4)]
    parser.layouts = Layouts(schema, [Dimension("vertex", 0, 2, 3)])
    assert unknown("user,1,2,7") == []
    # Nothing valid: nothing is known, and nothing is loaded.
    assert unknown(item(feature="1:x")) == []
    assert [x.reason for x in load(parser, item(feature="1:x"))[1]] == ["column 12 (feature): element 2: 'x' is not a number"]
    long = item(feature=":".join(["1"] * 65537))
    assert unknown(long) == []
    assert load(parser, long)[1][0].reason == "column 12 (feature): 65537 elements; a list has at most 65536"


def test_huge_dimensions_bound_the_lines_of_a_piece(patterns: PatternFile, schema: Schema) -> None:
    parser = Parser(patterns, Layouts(schema, [Dimension("vertex", 0, 2, 65536)]))
    assert parser.lines_max == (64 << 20) // (65536 * 4 + 1)
    pieces = Block(b"user,1,2,\nuser,2,2,\r\nuser,3,2,\n", 10).pieces(2)
    assert pieces == [Block(b"user,1,2,\nuser,2,2,\r\n", 10), Block(b"user,3,2,\n", 12)]
