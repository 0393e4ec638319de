"""Finding plugins, the messages when that fails, and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from outrigger import PluginError
from outrigger._loader import load

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"

GOOD = """
import outrigger
class {name}(outrigger.Plugin):
    name = "{plugin}"
    version = "1"
    def access(self, kong): ...
"""

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    modules, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return put


def names(*paths: Path | str) -> list[str]:
    return [spec.name for spec in load(map(str, paths))]


def test_file(write: Write) -> None:
    assert names(write("one.py", GOOD.format(name="A", plugin="a") + GOOD.format(name="B", plugin="b"))) == ["a", "b"]


def test_private_and_imported_classes_do_not_count(write: Write) -> None:
    write("base_of_all.py", GOOD.format(name="Base", plugin="base"))
    text = "from base_of_all import Base\n" + GOOD.format(name="_Hidden", plugin="h")
    text += 'class Real(Base):\n    name = "real"\n'
    assert names(write("real.py", text)) == ["real"]


def test_list_wins(write: Write) -> None:
    text = GOOD.format(name="A", plugin="a") + GOOD.format(name="B", plugin="b") + "plugins = [B]\n"
    assert names(write("listed.py", text)) == ["b"]


def test_directory(tmp_path: Path, write: Write) -> None:
    write("dir/x/main.py", GOOD.format(name="X", plugin="x"))
    write("dir/y/main.py", GOOD.format(name="Y", plugin="y"))
    write("dir/z.py", GOOD.format(name="Z", plugin="z"))
    write("dir/test_z.py", "raise AssertionError('tests are not plugins')")
    write("dir/tests/more.py", "raise AssertionError('tests are not plugins')")
    write("dir/__pycache__/more.py", "raise AssertionError('not a plugin')")
    assert names(tmp_path / "dir") == ["x", "y", "z"]


def test_package(tmp_path: Path, write: Write) -> None:
    write("pkg/__init__.py", "")
    write("pkg/inner/__init__.py", "")
    write("pkg/inner/a.py", "from ..shared import VERSION\n" + GOOD.format(name="A", plugin="a"))
    write("pkg/shared.py", "VERSION = '1'\n")
    assert names(tmp_path / "pkg") == ["a"]
    assert names("pkg.inner.a") == ["a"]


def test_examples() -> None:
    assert names(EXAMPLES) == ["digest-python", "gatekeeper-python", "hello-python", "stamp-python"]


CLASS = "import outrigger\nclass Bad(outrigger.Plugin):\n    name = 'bad'\n    version = '1'\n"
HANDLER = "    def access(self, kong): ...\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", "found no plugin"),
        ("raise ValueError('oops')\n", "importing it raised ValueError: oops"),
        ("def f(:\n", "importing it raised SyntaxError"),
        (CLASS, "class Bad: it has no handler; expected a method such as access"),
        (CLASS + "    def access(self): ...\n", r"class Bad: access has the signature access\(self\); expected def access\(self, kong\)"),
        (CLASS + "    def body_filter(self, kong): ...\n", r"expected def body_filter\(self, kong, chunk, last\)"),
        (CLASS + "    def access(self, kong):\n        yield\n", "access is a generator"),
        (CLASS + "    access = 5\n", "access is 5; expected a method"),
        (CLASS + "    name = ''\n" + HANDLER, "class Bad: name is not set"),
        (CLASS + "    name = 'a b'\n" + HANDLER, "name is 'a b'; expected letters"),
        (CLASS + "    version = 1\n" + HANDLER, "version is 1; expected str"),
        (CLASS + "    priority = '5'\n" + HANDLER, "priority is '5'; expected int"),
        (CLASS + "    priority = True\n" + HANDLER, "priority is True; expected int"),
        (CLASS + "    authenticates = 1\n" + HANDLER, "authenticates is 1; expected bool"),
        (CLASS + "    needs = ('body',)\n" + HANDLER, "needs has 'body'; expected 'request_body' or 'response_body'"),
        (CLASS + "    needs = 'request_body'\n" + HANDLER, "expected a tuple of"),
        (CLASS + "    Config = dict\n" + HANDLER, "class Bad: Config: .* is no dataclass"),
        (CLASS + HANDLER + "    def configure(self, what): ...\n", r"configure has the signature .*expected def configure\(self\)"),
        ("plugins = 5\n", "plugins is a int; expected a list of classes"),
        ("plugins = [5]\n", "plugins has 5; expected a class that extends outrigger.Plugin"),
        (GOOD.format(name="A", plugin="a") + GOOD.format(name="B", plugin="a"), "class B: name 'a' is taken by .*class A"),
    ],
)
def test_faults_name_the_place(write: Write, text: str, words: str) -> None:
    file = write("bad.py", text)
    with pytest.raises(PluginError, match=words) as caught:
        load([str(file)])
    assert "bad.py" in str(caught.value)


@pytest.mark.parametrize("path", ["nowhere.py", "no/such/dir", "README.md"])
def test_no_such_path(path: str, write: Write) -> None:
    write("README.md", "")
    with pytest.raises(PluginError, match=path):
        load([path])


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "outrigger", *args], capture_output=True, text=True, timeout=30, check=False)


class TestCommandLine:
    def test_describe(self, write: Write) -> None:
        file = write("noisy.py", "print('imported')\n" + GOOD.format(name="A", plugin="a"))
        done = run("describe", str(file))
        assert done.returncode == 0
        (manifest,) = json.loads(done.stdout)["plugins"]
        assert (manifest["name"], manifest["phases"], manifest["config_schema"]["type"]) == ("a", ["access"], "object")
        assert done.stderr == "imported\n"

    def test_bad_plugin(self, write: Write) -> None:
        done = run("describe", str(write("bad.py", CLASS)))
        assert (done.returncode, done.stdout) == (1, "")
        assert "bad.py: class Bad: it has no handler" in done.stderr

    def test_alone_it_says_what_it_is(self) -> None:
        done = run("serve", str(EXAMPLES))
        assert (done.returncode, done.stdout) == (1, "")
        assert "this is a plugin server" in done.stderr
        assert "--listen" in done.stderr

    @pytest.mark.parametrize(
        ("address", "words"),
        [
            ("tcp://0.0.0.0:0", "can be reached from other machines: expected a loopback address, or --tls-cert"),
            ("tcp://:0", "tcp://0.0.0.0:0 can be reached from other machines"),
            ("tcp://example.com:1", "expected a loopback address"),
            ("tcp://127.0.0.1:x", "port 'x'"),
            ("http://127.0.0.1:1", "expected unix:///path/to/socket or tcp://"),
            ("unix:///" + "x" * 120, "the system allows 107"),
            ("unix:///no/such/directory/s.sock", "No such file"),
        ],
    )
    def test_bad_address(self, address: str, words: str) -> None:
        done = run("serve", str(EXAMPLES / "hello"), "--listen", address)
        assert done.returncode == 1
        assert words in done.stderr
