from digest import Digest

from outrigger.testing import Gateway, Reply


def test_hashes() -> None:
    result = Gateway(Digest, upstream=Reply(body=b"abc")).send()
    expected = "sha256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert result.headers.get("X-Digest-Python") == expected
    assert result.buffered
    assert result.upstream is not None
    assert "X-Rewritten-Python" not in result.upstream.headers


def test_rewrites_when_global() -> None:
    result = Gateway(Digest, globally=True).send()
    assert result.upstream is not None
    assert result.upstream.headers.get("X-Rewritten-Python") == "1"
