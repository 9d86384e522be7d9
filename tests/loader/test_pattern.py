"""Pattern files: what is understood, and that everything wrong is told at once, with its line."""

import pytest
from dgs_loader.pattern import PatternFile

from dgs.core.errors import InputError
from dgs.core.schema import Schema


def problems(text: str, schema: Schema, delimiter: str = ",") -> list[str]:
    with pytest.raises(InputError) as e:
        PatternFile.parse(text, schema, delimiter)
    return e.value.problems


def test_columns_of_vertices_and_edges(schema: Schema) -> None:
    file = PatternFile.parse("#VERTEX:user,#ID,feature,timestamp\n#EDGE:u2i,#SRC:user,#DST:item,weight,timestamp\n", schema)
    user, u2i = file.patterns["user"], file.patterns["u2i"]
    assert (user.kind, user.element.id, user.columns, user.id_columns) == ("vertex", 0, 4, ("id",))
    assert [a.name for a in user.attributes] == ["feature", "timestamp"]
    assert (u2i.kind, u2i.element.id, u2i.src_type, u2i.dst_type, u2i.columns) == ("edge", 2, 0, 1, 5)
    assert [a.name for a in u2i.attributes] == ["weight", "timestamp"]
    assert file.ignored == ()


@pytest.mark.parametrize("delimiter", ["\t", "&", "|", "\x01"])
def test_the_delimiter_separates_the_pattern_too(schema: Schema, delimiter: str) -> None:
    text = "#VERTEX:user,#ID,timestamp".replace(",", delimiter)
    assert PatternFile.parse(text, schema, delimiter).patterns["user"].columns == 3
    assert "is the delimiter ';' right?" not in problems(text, schema, ";")[0]


def test_crlf_a_byte_order_mark_blank_lines_and_a_trailing_delimiter_do_no_harm(schema: Schema) -> None:
    file = PatternFile.parse("\ufeff#VERTEX:user,#ID,timestamp,\r\n\r\n   \n#EDGE:u2i,#SRC:user,#DST:item,timestamp\r\n", schema)
    assert [a.name for a in file.patterns["user"].attributes] == ["timestamp"]
    assert set(file.patterns) == {"user", "u2i"}


def test_other_lines_are_ignored_but_told(schema: Schema) -> None:
    file = PatternFile.parse("# my columns\n#VERTEX:user,#ID\n", schema)
    assert set(file.patterns) == {"user"}
    assert file.ignored == ("line 1: '# my columns' is neither #VERTEX:NAME nor #EDGE:NAME; ignored",)


def test_an_edge_may_be_the_reverse_of_a_relation_and_nothing_else(schema: Schema) -> None:
    file = PatternFile.parse("#EDGE:u2i,#SRC:item,#DST:user,timestamp", schema)
    assert (file.patterns["u2i"].src_type, file.patterns["u2i"].dst_type) == (1, 0)
    (problem,) = problems("#EDGE:u2i,#SRC:user,#DST:user,timestamp", schema)
    assert problem == "line 1: the schema lets 'u2i' join user to item (or the reverse), not user to user"


def test_everything_wrong_is_told_at_once_with_its_line(schema: Schema) -> None:
    text = """\
#VERTEX:ghost,#ID,timestamp
#VERTEX:user,timestamp

#VERTEX:item,#ID,colour,small,small
#EDGE:u2i,user,#DST:item,timestamp
#EDGE:i2i,#SRC:item,#DST:shop,weight
#EDGE:u2i,#SRC:user,#DST:item
"""
    assert problems(text, schema) == [
        "line 1: the schema has no vertex type 'ghost'; it has item, user",
        "line 2: column 2 of a vertex must be #ID",
        "line 4: 'item' has no attribute 'colour'; it has " + ", ".join(a.name for a in schema.vertex_types[1].attributes),
        "line 4: the attribute 'small' stands twice",
        "line 5: columns 2 and 3 of an edge must be #SRC:VERTEX TYPE and #DST:VERTEX TYPE",
        "line 6: the schema has no vertex type 'shop'; it has item, user",
        "line 6: no column 'timestamp', which every edge needs",
        "line 7: no column 'timestamp', which every edge needs",
    ]


def test_the_same_pattern_twice_is_fine_and_another_one_is_ambiguous(schema: Schema) -> None:
    line = "#VERTEX:user,#ID,timestamp\n"
    assert set(PatternFile.parse(line + line, schema).patterns) == {"user"}
    assert problems(line + "#VERTEX:user,#ID,feature\n", schema) == [
        "line 2: 'user' has another pattern already: a data line could mean either"
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "user,#ID\n", "#VERTX:user,#ID\n"])
def test_a_file_without_a_pattern_is_wrong(schema: Schema, text: str) -> None:
    (problem,) = problems(text, schema)
    assert "no line begins with #VERTEX:NAME or #EDGE:NAME" in problem
