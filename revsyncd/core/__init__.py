"""Values and decisions: no clock, no disk, no socket, no await; the standard library only."""
