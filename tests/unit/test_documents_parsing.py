"""Strict reading of JSON and YAML: what is refused, where, and that no text does worse than be refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from refold.core import yaml_reader
from refold.core.canonical import MAX_DEPTH, MAX_INTEGER, canonical_json
from refold.core.documents import parse_document, parse_json, parse_yaml
from refold.core.errors import DocumentError, Problem
from refold.core.json_faults import first_fault

Read = Any


def problem_of(read: Read, text: str | bytes, **options: Any) -> Problem:
    with pytest.raises(DocumentError) as caught:
        read(text, **options)
    (problem,) = caught.value.problems
    str(problem).encode()  # what is reported must itself be text
    return problem


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=5) | st.dictionaries(st.text(max_size=4), children, max_size=5),
    max_leaves=20,
)

# Mostly characters that mean something, so that texts come near to being right.
JSON_LIKE = st.text(st.sampled_from('[]{}:,"\\ \n0123456789-+.eEtrufalsn/b\ud800\x00')) | st.text()
YAML_LIKE = st.text(st.sampled_from("[]{}:,\"'\\ \n\t0123456789-+.eE&*!|>?%#@`~<x=_\x85\ufeff")) | st.text()


@given(JSON_VALUES, st.sampled_from([None, 1]), st.booleans())
def test_what_json_writes_is_read_back(value: Any, indent: int | None, ascii_only: bool):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse_json(text) == value
    assert parse_json(text.encode()) == value
    assert first_fault(text) is None


@given(JSON_LIKE | st.binary())
def test_any_text_is_read_as_json_or_refused(text: str | bytes):
    try:
        value = parse_json(text)
    except DocumentError as error:
        (problem,) = error.problems
        assert "call stack" not in problem.reason  # there is always a fault to name
    else:
        canonical_json(value)
        assert value == json.loads(text)
        assert first_fault(text if isinstance(text, str) else text.decode()) is None


@given(YAML_LIKE | st.binary())
def test_any_text_is_read_as_yaml_or_refused(text: str | bytes):
    try:
        canonical_json(parse_yaml(text))
    except DocumentError as error:
        assert error.problems[0].reason


@pytest.mark.parametrize(
    ("text", "pointer", "words"),
    [
        ('{"a":1,"a":2}', "/a", "twice in its object (line 1, column 8)"),
        ('{"a":1,\n "\\u0061":2}', "/a", "twice in its object (line 2, column 2)"),
        ('[{},{"x":[{"~/":1,"b":2,"~/":3}]}]', "/1/x/0/~0~1", "twice"),
        ("[1,NaN]", "/1", "NaN is no JSON number (line 1, column 4)"),
        ('{"a":-Infinity}', "/a", "-Infinity is no JSON number"),
        ('{"a":{"n":9007199254740992}}', "/a/n", "integer beyond ±(2^53-1)"),
        ("[-9007199254740992]", "/0", "integer beyond ±(2^53-1)"),
        ("[" + "1" * 100_000 + "]", "/0", "integer beyond ±(2^53-1)"),
        ("[[1e400]]", "/0/0", "beyond the range"),
        ('["ok","\\ud800"]', "/1", "lone surrogate U+D800"),
        ('{"a":{"\\udc00":1}}', "/a", "lone surrogate U+DC00"),
        ('"\ud800"', "", "lone surrogate U+D800 (line 1, column 2)"),
        ("\ufeff{}", "", "byte order mark"),
        ("[1,2,]", "/2", "no JSON value (line 1, column 6)"),
        ('{"a":1,}', "", "a key in double quotes"),
        ("{a:1}", "", "a key in double quotes"),
        ('{"a" 1}', "/a", "a colon"),
        ("[1 2]", "", "a comma or ]"),
        ('{"a":1 "b"', "", "a comma or }"),
        ("[01]", "", "a comma or ]"),
        ("['a']", "/0", "no JSON value"),
        ("[1.]", "", "a comma or ]"),
        ("[+1]", "/0", "no JSON value"),
        ('["a\nb"]', "/0", "control character U+000A in a string (line 1, column 4)"),
        ('["\\x"]', "/0", "unknown escape"),
        ('{"a":"b', "/a", "not closed"),
        ("", "", "the text ends"),
        ('{"a":', "/a", "the text ends"),
        ("[1\n", "", "the text ends where a comma or ] is expected (line 2, column 1)"),
        ("1 2", "", "text after the end of the document (line 1, column 3)"),
        ("[\n]\n]", "", "text after the end of the document (line 3, column 1)"),
    ],
)
def test_json_is_refused_with_pointer_and_place(text: str, pointer: str, words: str):
    problem = problem_of(parse_json, text)
    assert (problem.pointer, words in problem.reason) == (pointer, True), problem


def test_a_large_integer_should_be_sent_as_a_string():
    assert problem_of(parse_json, "[9007199254740992]").fix == "send it as a string"
    assert problem_of(parse_yaml, "n: 9007199254740992").fix == "quote it"
    for read in (parse_json, parse_yaml):
        assert read("[9007199254740991, -9007199254740991]") == [MAX_INTEGER, -MAX_INTEGER]


@pytest.mark.parametrize("read", [parse_json, parse_yaml, parse_document])
def test_bytes_that_are_no_plain_utf_8_are_refused(read: Read):
    assert "not UTF-8: byte 0xFF at offset 0" in problem_of(read, b"\xff\xfe1\x00").reason
    assert "not UTF-8: byte 0xC3 at offset 2" in problem_of(read, b'["\xc3"]').reason
    assert "byte order mark" in problem_of(read, b"\xef\xbb\xbf[]").reason


@pytest.mark.parametrize("read", [parse_json, parse_yaml, parse_document])
def test_the_limit_counts_bytes(read: Read):
    assert read('"ää"', max_bytes=6) == "ää"
    for text in ('"ää"', '"ää"'.encode(), "x" * 6):
        assert problem_of(read, text, max_bytes=5).reason == "the document is larger than 5 bytes"


@pytest.mark.parametrize("read", [parse_json, parse_yaml])
def test_nesting_is_bounded_exactly(read: Read):
    read("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    problem = problem_of(read, "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    assert problem.pointer == "/0" * MAX_DEPTH
    assert f"deeper than {MAX_DEPTH} levels (line 1, column {MAX_DEPTH + 1})" in problem.reason


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("read", "text"),
    [
        (parse_json, "[" * 100_000),
        (parse_json, "[" * 100_000 + "]" * 100_000),
        (parse_json, '{"a":' * 100_000),
        (parse_yaml, "[" * 100_000),
        (parse_yaml, "{a: " * 100_000),
        (parse_yaml, "- " * 100_000),
        (parse_yaml, "? " * 100_000),
        (parse_yaml, "%TAG !a! x\n" * 100_000),
        (parse_yaml, "a: " + "1" * 5_000_000),
        (parse_json, "1" * 5_000_000),
        (parse_json, '"' + "\\u0041" * 500_000 + '\\ud800"'),
    ],
)
def test_hostile_texts_are_refused_in_linear_time(read: Read, text: str):
    assert problem_of(read, text).reason


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_json_floats_are_read_exactly(number: float):
    assert parse_json(repr(number)) == number


YAML_SCALARS = {
    "on": "on",
    "yes": "yes",
    "No": "No",
    "1:30": "1:30",
    "2024-01-01": "2024-01-01",
    "1_000": "1_000",
    "0b1": "0b1",
    "-0x1": "-0x1",
    "1.2.3": "1.2.3",
    "+": "+",
    ".": ".",
    "-.": "-.",
    "tRUE": "tRUE",
    "=": "=",
    "'1'": "1",
    '"true"': "true",
    "!!str 1": "1",
    "true": True,
    "False": False,
    "NULL": None,
    "~": None,
    "": None,
    "12": 12,
    "+12": 12,
    "-0": 0,
    "017": 17,
    "0o17": 15,
    "0x1F": 31,
    "1.": 1.0,
    ".5": 0.5,
    "-1.5E+3": -1500.0,
    "1e3": 1000.0,
    "0" * 5000 + "7": 7,
}


@pytest.mark.parametrize(("scalar", "value"), YAML_SCALARS.items(), ids=lambda scalar: repr(scalar)[:20])
def test_yaml_scalars_follow_the_core_schema_of_yaml_1_2(scalar: str, value: Any):
    read = parse_yaml(f"key: {scalar}")["key"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "pointer", "words"),
    [
        ("a: 1\nb: 2\na: 3", "/a", "twice in its mapping (line 3, column 1)"),
        ("x:\n  - ~/: 1\n    '~/': 2", "/x/0/~0~1", "twice"),
        ("{a: {b: 1, b: 2}}", "/a/b", "twice"),
        ("1: a", "", "a key that is no string (line 1, column 1)"),
        ("x: {true: a}", "/x", "a key that is no string"),
        ("x:\n  ~: a", "/x", "a key that is no string"),
        ("x: &k 5\n*k : 1", "", "a key that is no string (line 2, column 1)"),
        ("? [a]\n: 1", "", "a collection as key"),
        ("- {? {a: 1} : 1}", "/0", "a collection as key"),
        ("a: .nan", "/a", ".nan is no JSON number (line 1, column 4)"),
        ("a: [-.Inf]", "/a/0", "-.Inf is no JSON number"),
        ("a: 0xFFFFFFFFFFFFFFFF", "/a", "integer beyond"),
        ("- 1\n- 1e400", "/1", "beyond the range"),
        ("&a [*a]", "/0", "contains itself"),
        ("a: &x {b: [*x]}", "/a/b/0", "contains itself"),
        ("a: *nowhere", "/a", "no anchor &nowhere"),
        ("base: {<<: 1}", "/base", "merge keys (<<) are not in YAML 1.2"),
        ("a: !python/object:os.system x", "/a", "the tag !python/object:os.system is not supported"),
        ("a: !!python/none x", "/a", "the tag"),
        ("a: !!int '1'", "/a", "the tag"),
        ("a: !!set {x}", "/a", "the tag"),
        ("a: !!str [x]", "/a", "!!str on a collection"),
        ("%TAG ! tag:x,2000:\n---\n!a b", "", "%TAG"),
        ("--- 1\n--- 2", "", "a second document begins (line 2, column 1)"),
        ("", "", "the document is empty"),
        ("# nothing", "", "the document is empty"),
        ("a: [1", "/a/1", "(line 2, column 1)"),
        ("a: b: c", "", "mapping values are not allowed in this context (line 1, column 5)"),
        ("\ta: 1", "", "cannot start any token (line 1, column 1)"),
        ("a: \x01", "", "U+0001"),
        ('a: "\\ud800"', "/a", "escape"),
    ],
)
def test_yaml_is_refused_with_pointer_and_place(text: str, pointer: str, words: str):
    problem = problem_of(parse_yaml, text)
    assert (problem.pointer, words in problem.reason) == (pointer, True), problem


def test_yaml_anchors_give_the_same_value_again():
    text = "base: &b {x: [1]}\ncopy: *b\nlist: [&s word, *s]\n&k key: *k\n'<<': quoted"
    assert parse_yaml(text) == {
        "base": {"x": [1]},
        "copy": {"x": [1]},
        "list": ["word", "word"],
        "key": "key",
        "<<": "quoted",
    }


def test_a_billion_laughs_are_refused_at_the_first_alias_too_many():
    lines = ["a0: &a0 [ha]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 40)]
    problem = problem_of(parse_yaml, "\n".join(lines), max_bytes=100_000)
    assert problem.pointer == "/a5/1"
    assert "the aliases expand to more than 100000 characters (line 6" in problem.reason


def test_aliases_cannot_nest_deeper_than_brackets_may():
    half = MAX_DEPTH // 2
    inner = "- &a " + "[" * half + "]" * half
    parse_yaml(f"{inner}\n- " + "[" * (half - 1) + "*a" + "]" * (half - 1))
    problem = problem_of(parse_yaml, f"{inner}\n- " + "[" * half + "*a" + "]" * half)
    assert f"deeper than {MAX_DEPTH} levels" in problem.reason


@given(JSON_VALUES)
def test_json_written_on_one_line_is_yaml(value: Any):
    # YAML takes fewer characters unescaped than JSON does (hence ASCII), and knows no escaped surrogate pairs.
    text = json.dumps(value)
    assume(not re.search(r"\\ud[89ab]", text))
    assert parse_yaml(text) == value


@given(YAML_LIKE)
def test_without_the_parser_in_c_yaml_is_read_or_refused_too(text: str):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_reader, "_LOADER", yaml.SafeLoader)
        try:
            canonical_json(parse_yaml(text))
        except DocumentError as error:
            assert error.problems[0].reason


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('{"a": 1}', "", {"a": 1}),
        (b"\n [1]", "", [1]),
        ("a: 1", "", {"a": 1}),
        (b"- 1", "", [1]),
        ("{a: 1}", "spec.yaml", {"a": 1}),
        ("{a: 1}", "SPEC.YML", {"a": 1}),
        ("1e3", "number.json", 1000.0),
        ("[on]", "folder.json/spec.yml", ["on"]),
    ],
)
def test_a_document_is_read_by_its_ending_or_its_first_character(text: str | bytes, name: str, value: Any):
    assert parse_document(text, name=name) == value


def test_a_document_of_a_known_ending_is_held_to_it():
    assert problem_of(parse_document, "a: 1", name="spec.json").reason.startswith("no JSON value")
    assert "double quotes" in problem_of(parse_document, "{a: 1}").reason
