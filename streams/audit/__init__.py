"""What auditors ask of the topics: states at past moments, and whether all of it follows from the log.

Nothing here can append to a topic, joins a consumer group or leaves a trace in the cluster.
"""
