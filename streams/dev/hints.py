"""What somebody who looks at ``coordinator dev`` may try next."""

from __future__ import annotations

Hint = tuple[str, str]
"""A command, and what it shows."""


def demo_hints(task_id: str, worker_pid: int | None, flags: str = "") -> list[Hint]:
    """While the demo runs; ``flags`` are what all commands must be given."""
    return [
        (f"coordinator tail directives -f{flags}", "what agents are told, as they are told it"),
        (f"coordinator explain task {task_id}{flags}", "why a task is where it is"),
        (f"coordinator submit --requires write --payload '\"hello\"' --wait{flags}", "a task of your own"),
        (
            f"kill -9 {worker_pid or '<worker pid>'}",
            "the worker comes back, and no task is lost or done twice",
        ),
    ]


def own_agents_hints(bootstrap: str, prefix: str, flags: str = "") -> list[Hint]:
    """While nothing else runs: an agent, a task and its answer with a Kafka client and JSON alone.

    The numbers give a person time to type; agents that are programs need neither.
    """
    return [
        (f"kcat -P -b {bootstrap} -t {prefix}events", "then paste these lines, one after the other"),
        ('{"type":"agent_registered","agent_id":"a1","heartbeat_interval":60}', "an agent appears"),
        (
            '{"type":"task_submitted","task_id":"t1","ack_timeout":600}',
            f"it gets a task: coordinator tail directives{flags}",
        ),
        (
            '{"type":"directive_response","agent_id":"a1","directive_id":"ID","outcome":"completed"}',
            "with the directive's id: done",
        ),
    ]
