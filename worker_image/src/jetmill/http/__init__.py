"""The client over HTTP, for programs that cannot reach NATS: `pip install "jetmill[http]"`, then `HttpClient`.

`import jetmill` loads nothing of it.
"""

from jetmill.http.client import HttpClient
from jetmill.http.settings import HttpSettings

__all__ = ["HttpClient", "HttpSettings"]
