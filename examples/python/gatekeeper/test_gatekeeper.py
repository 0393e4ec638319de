from gatekeeper import Gatekeeper

from outrigger.testing import Gateway


def test_turns_away() -> None:
    result = Gateway(Gatekeeper, config={"message": "no"}).send(headers={"X-Deny": "1"})
    assert (result.status, result.upstream) == (403, None)
    assert result.body == b'{"message":"no","plugin":"gatekeeper-python"}'
    assert result.headers.get("Content-Type") == "application/json; charset=utf-8"


def test_lets_pass() -> None:
    gateway = Gateway(Gatekeeper, config={"header": "X-Who", "values": ["a", "b"]})
    assert gateway.send(headers={"X-Who": "c"}).status == 200
    assert gateway.send().status == 200
    assert gateway.send(headers={"X-Who": "b"}).status == 403
