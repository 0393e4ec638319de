import pytest
from hello import Hello

from outrigger import ConfigError
from outrigger.testing import Gateway


@pytest.mark.parametrize(
    ("headers", "text"),
    [({}, "hi, world"), ({"X-Name": "bob"}, "hi, bob"), ({"X-Name": "bob", "X-Mood": "happy"}, "hi, bob (happy)")],
)
def test_greets(headers: dict[str, str], text: str) -> None:
    result = Gateway(Hello, config={"greeting": "hi"}).send(headers=headers)
    assert result.headers.get("X-Hello-Python") == text
    assert result.upstream is not None
    assert result.upstream.headers.get("X-Hello-Python") == text


def test_greeting_must_not_be_empty() -> None:
    with pytest.raises(ConfigError, match="greeting"):
        Gateway(Hello, config={"greeting": ""})
