"""Takes clients in, as many as there are places, and lets none of them keep another out.

When all places are taken, the client that has kept us waiting longest is sent away: one that asks
slowly, or takes its answer slowly, never one whose answer is being made.
"""

import socket

import anyio
from anyio.abc import TaskGroup

from revsyncd.adapters.web.visit import Reply, Visit

PLACES = 32
_NO_SOCKETS_PAUSE = 0.2  # seconds until another try when the process has too many files open


async def serve(door: socket.socket, reply: Reply) -> None:
    """Answer whoever connects, until cancelled."""
    async with anyio.create_task_group() as tasks:
        visits: dict[Visit, None] = {}  # in the order in which they came
        while True:
            await anyio.wait_readable(door)
            try:
                client, _ = door.accept()
            except (BlockingIOError, ConnectionError):
                continue
            except OSError:
                await anyio.sleep(_NO_SOCKETS_PAUSE)
                continue
            _take_in(tasks, visits, Visit(client), reply)


def _take_in(tasks: TaskGroup, visits: dict[Visit, None], visit: Visit, reply: Reply) -> None:
    if len(visits) >= PLACES:
        slowest = next((each for each in visits if each.waits_for_client), None)
        if slowest is None:
            visit.refuse()
            return
        del visits[slowest]
        slowest.send_away()
    visits[visit] = None
    tasks.start_soon(_attend, visits, visit, reply)


async def _attend(visits: dict[Visit, None], visit: Visit, reply: Reply) -> None:
    try:
        await visit.attend(reply)
    finally:
        visits.pop(visit, None)
