"""The code of the guide about configurations does what the guide says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from outrigger import ConfigError
from outrigger.schema import decode_config, schema_of

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "config-schema.md"


@pytest.fixture
def guide(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The Python code of the guide, as one module."""
    section = GUIDE.read_text("utf-8").partition("\n## Python\n")[2].partition("\n## ")[0]
    code = "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    assert code
    module = ModuleType("guide")
    monkeypatch.setitem(sys.modules, "guide", module)
    exec(compile(code, str(GUIDE), "exec"), vars(module))
    return module


def test_class(guide: Any) -> None:
    schema = schema_of(guide.Config)
    assert schema["required"] == ["url"]
    assert schema["properties"]["key"]["x-secret"] is schema["properties"]["key"]["x-referenceable"] is True
    assert "hunter" not in repr(decode_config(guide.Config, {"url": "https://a", "key": "hunter22"}))
    for config, path in (
        ({"url": "https://a"}, "key"),
        ({"url": "ftp://a"}, "url"),
        ({"url": "https://a", "mode": "loose", "timeout": 30}, "retry.times"),
        ({"url": "https://a", "mode": "loose", "hosts": ["a b"]}, "hosts.0"),
        ({"url": "https://a", "mode": "loose", "port": 70000}, "port"),
    ):
        with pytest.raises(ConfigError) as caught:
            decode_config(guide.Config, config)
        assert [where for where, _ in caught.value.errors] == [path]


def test_list_of_kong(guide: Any) -> None:
    config = decode_config(guide.Schema, {"url": "https://a", "hosts": ["a-b.test"]})
    assert config == {"url": "https://a", "mode": "strict", "hosts": ["a-b.test"], "retry": {"times": 3}}
