"""What a start finds: the last process may have ended anywhere, by a stop, a kill or a power loss."""

from revsyncd.adapters import inbox, shelves
from revsyncd.adapters.disk import FolderTrouble
from revsyncd.adapters.ledger.identity import owner
from revsyncd.adapters.log import get_logger
from revsyncd.core.drop import Reason, State
from revsyncd.core.errors import NoSpace, RefusedToStart
from revsyncd.core.part import PartState, released
from revsyncd.core.places import shown
from revsyncd.pipelines.concluding import Concluding
from revsyncd.pipelines.files import off_loop
from revsyncd.pipelines.instance import Instance, named

log = get_logger()

KILLED = "revsyncd ended after the last chunk was released and before an answer came"


async def recover(instance: Instance, concluding: Concluding) -> None:
    """Make ledger and folders agree before any service runs.

    Raises NoSpace, LedgerBroken, and RefusedToStart where drops wait for another tenant.
    """
    await instance.conditions.load()
    await instance.register.load()
    _refuse_another_tenant(instance)
    await doubt_released(instance, concluding)
    whole = True
    for folder in instance.config.folders:
        try:
            await _put_in_order(instance, folder.name)
        except FolderTrouble as error:
            log.debug("folder.not_recovered", folder=folder.name, error=error.message)
            whole = False
    if whole:
        await _swept(instance)


async def _swept(instance: Instance) -> None:
    """Record of which run it is true that nothing older than it is left over."""
    ledger, holder = instance.ledger, owner(instance.root)
    try:
        for directory in (instance.root, instance.root / "reports", instance.config.state_dir):
            await off_loop(shelves.sweep, directory)
        if holder is not None:
            await ledger.run(ledger.book.set_meta, "swept", repr(holder[1]))
    except (FolderTrouble, NoSpace) as error:  # nothing waits for it, and a full disk is told later
        log.debug("folder.not_recovered", folder="", error=error.message)


def _refuse_another_tenant(instance: Instance) -> None:
    """What one tenant has in part must not be followed, or sent on, at another."""
    register, now = instance.register, instance.config.tenant.base_url
    waiting = (d for d in register if d.state not in (State.STAGED, State.FAILED))
    theirs = [d for d in waiting if d.tenant != now and released(register.parts(d.drop))]
    if not theirs:
        return
    first = theirs[0]
    raise RefusedToStart(
        f"{len(theirs)} drops that were sent to {first.tenant} are not settled yet, the first is"
        f" {shown(first.file)} ({first.drop}); tenant.base_url is {now} now",
        hint="Put the former base_url back until `revsyncd status` shows no such drop.",
    )


async def doubt_released(instance: Instance, concluding: Concluding) -> None:
    """Nobody waits for the answers to released parts any more: only a person can tell."""
    register = instance.register
    for drop in list(register):
        loose = [p for p in register.parts(drop.drop) if p.state is PartState.RELEASED]
        for part in loose:
            await register.settle_part(
                drop.drop, part.part, PartState.IN_DOUBT, message=KILLED, doubt=Reason.IN_DOUBT
            )
            log.warning("upload.in_doubt", **named(drop, part), reason="in_doubt", error=KILLED)
        if loose or register.parts(drop.drop):
            async with register.locked(drop.drop):
                await concluding.advance(drop.drop)


async def _put_in_order(instance: Instance, folder: str) -> None:
    """Give back what was claimed but never recorded; remove what was written for nobody."""
    places = instance.places(folder)
    await off_loop(shelves.sweep_folder, places)
    for found in await off_loop(inbox.in_work, places):
        ledger = instance.ledger
        drop = await ledger.run(ledger.drops.get, found.drop)
        if drop is None:
            instance.unrecorded.add((folder, found.drop))
            await give_back(instance, folder, found.drop)
        elif drop.drop not in instance.register:
            await instance.files.remove_work(places, found.drop)
    for drop_id in await off_loop(inbox.prepared, places):
        if drop_id not in instance.register:
            await instance.files.remove_work(places, drop_id)


async def give_back(
    instance: Instance, folder: str, drop: str, companion: str | None = None
) -> None:
    """Back to the inbox with a claim that was not recorded.

    Where another file has taken its name there it waits in work, to be tried again at each look.
    """
    places = instance.places(folder)
    back = await off_loop(inbox.give_back, places, drop, companion)
    if back:
        log.info("drop.given_back", folder=folder, drop=drop, files=len(back))
    if await off_loop(places.work_of(drop).exists):
        instance.unrecorded.add((folder, drop))
    else:
        instance.unrecorded.discard((folder, drop))
