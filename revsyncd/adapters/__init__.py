"""The world outside: one foreign thing each, and no decisions."""
