"""The domain, pure: events, records, state rows, policy, the two folds and the feasibility function.

Nothing here knows Kafka or Faust, reads a clock, draws a random number or touches the outside world.
"""
