"""Everything this package raises on purpose: one root, typed fields, messages that say what to do next."""

from __future__ import annotations


class CoordinatorError(Exception):
    """Root of all errors of this package."""


class InvalidValue(CoordinatorError, ValueError):
    """A value that the wire contract or this package does not allow; nothing was sent.

    Attributes:
        field: The field at fault, such as ``task_id`` or ``requires.capabilities[2]``.
        rule: What would be right.
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        shown = repr(value)
        super().__init__(f"{field} = {shown if len(shown) <= 80 else shown[:77] + '...'}: {rule}")
        self.field = field
        self.rule = rule


class BrokerUnavailable(CoordinatorError):
    """No Kafka broker answered.

    Attributes:
        bootstrap_servers: The addresses that were tried.
    """

    def __init__(self, bootstrap_servers: str, seconds: float, detail: str) -> None:
        super().__init__(
            f"no Kafka broker answered at {bootstrap_servers} within {seconds:g} s ({detail}); "
            "start it, or set KAFKA_BOOTSTRAP_SERVERS"
        )
        self.bootstrap_servers = bootstrap_servers


class TopicMissing(CoordinatorError):
    """A topic of the coordinator does not exist on this broker.

    Attributes:
        topic: Its full name, prefix included.
    """

    def __init__(self, topic: str, bootstrap_servers: str) -> None:
        super().__init__(
            f"the topic {topic} does not exist at {bootstrap_servers}; create it with "
            "`coordinator topics create`, or set COORDINATOR_TOPIC_PREFIX to the prefix that the coordinator uses"
        )
        self.topic = topic


class DeliveryFailed(CoordinatorError):
    """The broker refused a record for good; sending it again may be tried, but will hardly help.

    Attributes:
        topic: Where it should have gone.
        key: Its key, the subject of the event.
    """

    def __init__(self, topic: str, key: str, detail: str) -> None:
        super().__init__(f"the broker did not take the record for {key} on {topic}: {detail}")
        self.topic = topic
        self.key = key


class ReadingStopped(CoordinatorError):
    """Records cannot be read any more, and trying again does not help (permissions, a broken record).

    Attributes:
        topic: What could not be read.
    """

    def __init__(self, topic: str, detail: str) -> None:
        super().__init__(f"{topic} cannot be read any more: {detail}; fix the cause and start again")
        self.topic = topic


class NotRunning(CoordinatorError):
    """An agent, client or connection was used before its start or after its end.

    Attributes:
        what: Which one.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not running; use it inside `async with`, or call start() first")
        self.what = what


class StateInUse(CoordinatorError):
    """Another process has this agent's state open, so a second agent of the same id would be running.

    Attributes:
        path: The state file.
    """

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} is in use by another process; give each agent its own id or its own state_dir"
        )
        self.path = path


class StateUnreadable(CoordinatorError):
    """An agent's state file cannot be used.

    Attributes:
        path: The state file.
    """

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(
            f"{path} cannot be used as an agent's state: {detail}; "
            "make the directory writable, or remove the file (the agent then starts as after a first start)"
        )
        self.path = path


class DirectiveEnded(CoordinatorError):
    """An answer to a directive that is over: nobody waits for it any more, so it was not sent.

    Attributes:
        directive_id: The directive.
        reason: How it ended: ``answered``, ``withdrawn``, ``ack_timeout``, ``run_timeout``, ``agent_stopped``.
    """

    def __init__(self, directive_id: str, reason: str) -> None:
        super().__init__(f"directive {directive_id} is over ({reason}); stop working on it")
        self.directive_id = directive_id
        self.reason = reason


class WaitTimeout(CoordinatorError, TimeoutError):
    """The time to wait was up before the results were there. The tasks go on.

    Attributes:
        task_ids: Tasks without a result.
    """

    def __init__(self, task_ids: tuple[str, ...], seconds: float) -> None:
        shown = ", ".join(task_ids[:3]) + (" …" if len(task_ids) > 3 else "")
        tasks = "task" if len(task_ids) == 1 else "tasks"
        super().__init__(
            f"no result of {len(task_ids)} {tasks} within {seconds:g} s: {shown}; "
            "`coordinator explain task ID` tells what one waits for"
        )
        self.task_ids = task_ids


class TaskError(CoordinatorError):
    """A task ended without a result.

    Attributes:
        task_id: The task.
        reason: Why, as the coordinator says it.
        attempt: The number of the last attempt, from 1.
        agent_id: Who had it last, if anyone.
    """

    verb = "ended"

    def __init__(self, task_id: str, reason: str | None, attempt: int | None, agent_id: str | None) -> None:
        where = f" on {agent_id}" if agent_id else ""
        count = f", attempt {attempt}" if attempt else ""
        super().__init__(f"task {task_id} {self.verb}{where}{count}: {reason or 'no reason given'}")
        self.task_id = task_id
        self.reason = reason
        self.attempt = attempt
        self.agent_id = agent_id


class TaskFailed(TaskError):
    """Its attempts or deliveries are used up, or its deadline has passed."""

    verb = "failed"


class TaskCancelled(TaskError):
    """Someone cancelled it."""

    verb = "was cancelled"


class TaskRefused(TaskError):
    """The coordinator did not take it: a quota, a permission, a policy."""

    verb = "was refused"


class TaskExists(TaskRefused):
    """Another task, with other content, has this id; it goes on as it was submitted."""

    verb = "was refused, since another one has this id; leave out task_id to get a new one"
