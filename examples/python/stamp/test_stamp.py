from stamp import Stamp

from outrigger.testing import Gateway, Reply


def test_marks() -> None:
    gateway = Gateway(Stamp, config={"mark": "m", "trailer": " end"}, upstream=Reply(body=b"x" * 40000))
    result = gateway.send("POST", "/a?b=1")
    assert result.headers.get("X-Stamp-Python") == "m"
    assert "Content-Length" not in result.headers
    assert result.body == b"x" * 40000 + b" end"
    assert [(line.level, line.message) for line in result.logs] == [("info", "stamped POST /a 200")]
