"""The worker's HTTP side: health, metrics and read access to the folded state. It changes nothing."""

from streams.http.server import HttpServer

__all__ = ["HttpServer"]
