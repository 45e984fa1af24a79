"""The life of a drop as a picture, drawn from `MOVES`: `python -m revsyncd.core.diagram`."""

from revsyncd.core.drop import MOVES


def mermaid() -> str:
    """A Mermaid state diagram of `MOVES`, one arrow per pair of states."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, row in MOVES.items():
        for event, following in row.items():
            arrows.setdefault((state, following), []).append(event)
    lines = ["stateDiagram-v2", "    [*] --> claimed"]
    lines += [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in arrows.items()]
    lines += [f"    {state} --> [*]" for state, row in MOVES.items() if not row]
    return "\n".join(lines)


if __name__ == "__main__":
    print(mermaid())
