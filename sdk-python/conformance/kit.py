"""Answers vectors with ``outrigger.testing``: reads one task a line from standard input and writes one answer a line to standard output,
in order. docs/conformance.md says what stands in them.
"""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any

from driver import SyncDriver
from spelling import spell, value_of

from outrigger import PDKError
from outrigger.testing import LEVELS, Gateway, NodeFacts


def refusal(code: str, message: str) -> PDKError:
    """The host's refusal of a question, with any code."""
    return type("Refusal", (PDKError,), {"code": code})(message)


def answer_task(task: dict[str, Any]) -> dict[str, Any]:
    """Runs one vector."""
    questions: list[Any] = []
    script: list[Any] = list(task.get("asks") or [])

    def answer(function: str, args: list[Any]) -> Any:
        questions.append([function, *map(spell, args)])
        ask = script.pop(0) if script else {"error": ["host_error", "no more questions were expected"]}
        if "error" in ask:
            raise refusal(*ask["error"])
        return value_of(ask.get("value"))

    node = task["node"]
    gateway = Gateway(
        SyncDriver,
        config=task["config"],
        plugin_ids={SyncDriver.name: node["plugin_id"]},
        node=NodeFacts(
            id=node["id"],
            hostname=node["hostname"],
            version=node["gateway_version"],
            cluster_id=node["cluster_id"] or None,
            telemetry_logs=node["telemetry_logs"],
        ),
        script=answer,
        trusted_ips=node["trusted_cidrs"],
        log_level=LEVELS[node["log_level"]],
        max_body=node["max_body"],
        max_shared=node["max_shared"],
    )
    entities = {int(slot): bytes.fromhex(document) for slot, document in task["entities"].items()}
    replay = gateway.replay(bytes.fromhex(task["call"]), entities)
    return {
        "outcome": replay.outcome.hex(),
        "bulk": b"".join(replay.bodies).hex(),
        "logs": [[LEVELS.index(line.level), spell(line.message)] for line in replay.logs],
        "questions": questions,
    }


def main() -> None:
    for line in sys.stdin:
        try:
            answer = answer_task(json.loads(line))
        except Exception:
            answer = {"fault": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
