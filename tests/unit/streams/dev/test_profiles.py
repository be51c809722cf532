"""The demo is a function of its seed, and every task of it can end well."""

from __future__ import annotations

from itertools import islice

import pytest

from streams.dev.profiles import demo_agents, demo_tasks, run_name, stumbles


def test_the_same_seed_gives_the_same_agents_and_tasks() -> None:
    agents = demo_agents(12, 7)
    assert agents == demo_agents(12, 7)
    assert list(islice(demo_tasks(agents, 7, "demo-x"), 50)) == list(
        islice(demo_tasks(agents, 7, "demo-x"), 50)
    )


def test_another_seed_gives_other_agents_and_tasks() -> None:
    assert demo_agents(12, 7) != demo_agents(12, 8)
    agents = demo_agents(12, 7)
    assert list(islice(demo_tasks(agents, 7, "d"), 50)) != list(islice(demo_tasks(agents, 8, "d"), 50))


def test_another_run_has_other_task_ids_and_the_same_work() -> None:
    agents = demo_agents(12, 7)
    one, other = (list(islice(demo_tasks(agents, 7, prefix), 50)) for prefix in ("demo-a", "demo-b"))
    assert not {task.task_id for task in one} & {task.task_id for task in other}
    assert [(task.job, task.size, task.priority) for task in one] == [
        (task.job, task.size, task.priority) for task in other
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 50])
def test_each_task_finds_an_agent_that_can_do_it(count: int) -> None:
    agents = demo_agents(count, 3)
    for task in islice(demo_tasks(agents, 3, "demo"), 200):
        assert any(set(task.capabilities) <= set(agent.capabilities) for agent in agents)


def test_agents_have_ids_of_their_own_and_at_least_one_slot() -> None:
    agents = demo_agents(50, 1)
    assert len({agent.agent_id for agent in agents}) == 50
    assert all(agent.slots >= 1 and agent.speed > 0 for agent in agents)


def test_some_first_attempts_stumble_and_no_later_one_does() -> None:
    agent = next(agent for agent in demo_agents(50, 1) if agent.failure_rate == 0.05)
    ids = [f"demo-{number}" for number in range(2_000)]
    assert 50 <= sum(stumbles(agent, task, 1, 1) for task in ids) <= 150
    assert not any(stumbles(agent, task, 2, 1) for task in ids)


def test_runs_are_named_by_the_moment_of_their_start() -> None:
    assert run_name(1_767_225_600_000) == "mjuohs00"
    assert run_name(1_767_225_600_001) != run_name(1_767_225_600_000)
