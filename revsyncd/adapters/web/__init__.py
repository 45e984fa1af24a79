"""A small HTTP server for people and programs that only look: one question, one answer, good-bye.

Loaded only where `[http]` is configured. What it guards against: slow clients, too many clients,
requests that are none, and browsers that a web page has sent (see `doorkeeper`).
"""

from revsyncd.adapters.web.door import open_door
from revsyncd.adapters.web.doorkeeper import Doorkeeper
from revsyncd.adapters.web.messages import Answer, Question
from revsyncd.adapters.web.server import serve

__all__ = ["Answer", "Doorkeeper", "Question", "open_door", "serve"]
