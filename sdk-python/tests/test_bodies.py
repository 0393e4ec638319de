"""Bodies that are parsed and written: what comes back, and that garbage is refused and never anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outrigger._runtime.bodies import FORM, JSON, MULTIPART, BadBody, known_type, parameter, parse_body, write_body
from outrigger._runtime.jsontext import MAX_DEPTH, BadJSON, inspected, parse_json, sorted_json
from outrigger._runtime.references import BadReference, parse_reference
from outrigger._runtime.targets import check_targets
from outrigger._runtime.values import BadArgument

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PEER_TEXTS = TEXTS | st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=15,
)


class TestRoundTrips:
    @settings(max_examples=200, deadline=None)
    @given(st.lists(JSON_VALUES, max_size=4) | st.dictionaries(TEXTS, JSON_VALUES, max_size=4))
    def test_lesson_11_json(self, value: Any) -> None:
        raw, _ = write_body(value, JSON, None)
        assert parse_json(raw) == value
        assert json.loads(raw) == value
        assert sorted_json(parse_json(raw)) == raw

    @settings(max_examples=200, deadline=None)
    @given(st.dictionaries(PEER_TEXTS.filter(bool), PEER_TEXTS | st.just(True) | st.lists(PEER_TEXTS, min_size=2, max_size=3), max_size=5))
    def test_lesson_11_form(self, value: dict[str, Any]) -> None:
        raw, media_type = write_body(value, FORM, None)
        assert parse_body(raw, FORM, media_type, 1000).value == value

    @settings(max_examples=200, deadline=None)
    @given(st.dictionaries(PEER_TEXTS.filter(lambda text: text and not set(text) & set('"\r\n\\')), PEER_TEXTS, max_size=5))
    def test_lesson_11_multipart(self, value: dict[str, Any]) -> None:
        raw, media_type = write_body(value, MULTIPART, None)
        assert parse_body(raw, MULTIPART, media_type, 1000).value == value

    def test_boundary_of_the_request(self) -> None:
        raw, media_type = write_body({"a": 1}, MULTIPART, 'multipart/form-data; boundary="x y"')
        assert (raw.splitlines()[0], media_type) == (b"--x y", 'multipart/form-data; boundary="x y"')
        assert parse_body(raw, MULTIPART, media_type, 1).value == {"a": "1"}


class TestGarbage:
    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=80) | st.text(alphabet='{}[]",:\\udD8E0 ntf1-.e', max_size=60).map(str.encode))
    def test_json(self, raw: bytes) -> None:
        try:
            value = parse_json(raw)
        except BadJSON:
            return
        assert isinstance(value, (dict, list))

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.sampled_from([b"--b", b"--", b"\r\n", b"\n", b'Content-Disposition: form-data; name="', b'a"', b":", b"x"]), max_size=20
        )
    )
    def test_multipart(self, pieces: list[bytes]) -> None:
        try:
            parse_body(b"".join(pieces), MULTIPART, "multipart/form-data; boundary=b", 10)
        except BadBody:
            return

    @settings(max_examples=300, deadline=None)
    @given(st.text(max_size=40), st.text(alphabet='=;"\\ boundary', max_size=40))
    def test_media_types(self, media_type: str, rest: str) -> None:
        assert isinstance(parameter(f"{media_type};{rest}", "boundary"), str)
        try:
            known_type(media_type)
        except BadBody:
            return

    @settings(max_examples=300, deadline=None)
    @given(st.text(alphabet="{}vault://env?#%=&a1-", max_size=40))
    def test_references(self, text: str) -> None:
        try:
            parts = parse_reference("{vault://" + text + "}")
        except BadReference:
            return
        assert parts.name
        assert parts.resource


class TestJSON:
    @pytest.mark.parametrize(
        ("raw", "value"),
        [
            (b'["\\ud800"]', ["\ufffd"]),
            (b'["\\udc80x\\ud83d\\ude00"]', ["\ufffdx\U0001f600"]),
            (b'["\\\\ud800"]', ["\\ud800"]),
            (b'["\x80"]', ["\udc80"]),
            (b"[18446744073709551615, 18446744073709551616]", [2**64 - 1, float(2**64)]),
            (b'{"a": 1, "a": 2}', {"a": 2}),
            (b" [1.0, -0, 1e2]\n", [1.0, 0, 100.0]),
        ],
    )
    def test_values(self, raw: bytes, value: Any) -> None:
        found = parse_json(raw)
        assert found == value
        assert repr(found) == repr(value)

    @pytest.mark.parametrize(
        "raw",
        [b"", b"5", b"null", b'"a"', b"[NaN]", b"[-Infinity]", b"[1e999]", b"\xef\xbb\xbf[]", b"[1] 2", b"[1,]", b"['a']", b'["\x01"]'],
    )
    def test_refused(self, raw: bytes) -> None:
        with pytest.raises(BadJSON):
            parse_json(raw)

    def test_depth(self) -> None:
        assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
        for depth in (MAX_DEPTH + 1, 100_000):
            with pytest.raises(BadJSON, match="nested more than 512 deep"):
                parse_json(b"[" * depth + b"]" * depth)
        value: list[Any] = []
        for _ in range(MAX_DEPTH):
            value = [value]
        with pytest.raises(BadArgument, match="nested more than 512 deep"):
            sorted_json(value)

    def test_long_numbers(self) -> None:
        assert parse_json(b"[" + b"1" * 300 + b"]") == [float("1" * 300)]
        with pytest.raises(BadJSON, match="out of range"):
            parse_json(b"[" + b"1" * 5000 + b"]")

    def test_inspect(self) -> None:
        assert inspected({"b": [1, {}], "a": []}) == '{\n  "a": [],\n  "b": [\n    1,\n    {}\n  ]\n}'
        assert inspected("<é>") == '"<é>"'
        loop: list[Any] = []
        loop.append(loop)
        assert inspected(loop) == "[[...]]"


@pytest.mark.parametrize("target", ["a", "a:", "a:0", "a:65536", ":80", "a b:80", "::1:80", "[a]:80", "a:+1", "a:٣", "u@a:80", "a/b:80", 5])
def test_bad_targets(target: Any) -> None:
    with pytest.raises(BadArgument):
        check_targets([target])
