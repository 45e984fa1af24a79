"""Every event that a log line may have: people and programs filter by these words."""

EVENTS = frozenset({
    "daemon.started", "daemon.ready", "daemon.stopping", "daemon.stopped",
    "config.reloaded", "config.rejected",
    "service.failed", "service.restarted",
    "token.renewed", "token.refused",
    "tenant.paused", "tenant.resumed", "tenant.unreachable",
    "folder.paused", "folder.resumed", "folder.missing",
    "mapping.changed",
    "drop.seen", "drop.ignored", "drop.claimed", "drop.checked",
    "upload.started", "upload.accepted", "upload.refused", "upload.in_doubt",
    "drop.done", "drop.failed", "drop.held", "drop.resolved",
    "stage_errors.found", "stage_errors.gone",
    "gl.written", "gl.confirmed", "gl.held", "gl.reissued", "gl.late",
    "disk.trouble", "disk.mended",  # a folder's, or the state directory's, disk is full or failing
    "drop.given_back",  # a claim that a killed process had not recorded
    "drop.lost",  # a file is gone from where we had put it
    "drop.step_failed",  # tried again after a pause
    "stage_errors.refused", "stage_errors.resumed",  # the tenant forbids the lists of lines in error
    "service.traceback",  # a fault of ours, for a bug report; beside service.failed
    "drop.waits", "status.not_written", "folder.not_recovered", "upload.not_taken",  # at debug level
    "gl.step_failed",  # of a batch; tried again at the next look
    "http.listening",  # where; with port 0, the one that was free
    "gl.refused", "gl.resumed",  # the tenant forbids the calls for batches
    "library.message",  # what a library says at warning or worse; facts: logger, message
})  # fmt: skip
