"""The running system: the Faust app, its engine, planner, HTTP, command line and monitoring."""
