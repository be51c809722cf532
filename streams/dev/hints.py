"""What somebody who looks at ``coordinator dev`` may try next."""

from __future__ import annotations

Hint = tuple[str, str]
"""A command, and what it shows."""


def demo_hints(task_id: str, worker_pid: int | None) -> list[Hint]:
    """While the demo runs."""
    return [
        ("coordinator tail directives -f", "what agents are told, as they are told it"),
        (f"coordinator explain task {task_id}", "why a task is where it is"),
        ("coordinator submit --requires write --payload '\"hello\"' --wait", "a task of your own"),
        (
            f"kill -9 {worker_pid or '<worker pid>'}",
            "the worker comes back, and no task is lost or done twice",
        ),
    ]


def own_agents_hints(bootstrap: str, prefix: str) -> list[Hint]:
    """While nothing runs but the coordinator: a register, a task and an answer with kcat alone."""
    produce = f"kcat -b {bootstrap} -P -t {prefix}events"
    return [
        (
            f"""echo '{{"type":"status_update","agent_id":"a1","status":"active"}}' | {produce} -k a1""",
            "an agent appears",
        ),
        (
            f"""echo '{{"type":"task_submitted","task_id":"t1"}}' | {produce} -k t1""",
            "it is given a task: coordinator tail directives",
        ),
        (
            """echo '{"type":"directive_response","agent_id":"a1","directive_id":"ID","outcome":"completed"}' | """
            f"{produce} -k a1",
            "the task completes; put the directive's id for ID",
        ),
    ]
