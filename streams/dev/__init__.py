"""A whole coordinator on one machine: demo agents and tasks, a supervised worker, a live view of it all."""
