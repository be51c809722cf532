from coordinator.sync import Agent, Directive

agent = Agent("counter-1", capabilities=["summarize"], slots=2)


@agent.task
def count(directive: Directive) -> object:
    return {"words": len(str(directive.payload).split())}


agent.run()
