"""A long seeded run of the structure pass against the plain character machine: `make fuzz`.

Each round makes a text from pieces that hurt, cuts it into reads of some size down to one character,
and compares every record. What fails is printed with its seed and stops the run.
"""

import argparse
import random
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # a script beside what it runs
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from plain_machine import PlainRecord, read

from revsyncd.checks import mixed
from revsyncd.checks.mixed import BlockReader, Blocks
from revsyncd.checks.structure import Record
from revsyncd.checks.writing import csv_lines, csv_text

PLAIN = ("", "a", "bb", " ", "1.50")
QUOTED = ('""', '"a"', '"a,b"', '"a\r\nb"', '"a""b"', '"\n"', '""""', '","', '"\r\n"', '"a"",""b"')
SPOILED = (
    '"a\r"',
    '"\r"',
    'a"',
    '"a"b',
    '"a',
    'a"b"',
    '"',
    "\r",
    "a\rb",
    '"a"\r',
    '""a',
    "a\n",
    '"\n',
    '\n"',
)
LINE_ENDS = ("\n", "\r\n")


def text_of(chance: random.Random) -> str:
    """Rows of mostly one width, plain, quoted or both, here and there spoiled."""
    width = chance.randint(1, 5)
    cells = chance.choice((PLAIN, QUOTED, PLAIN + QUOTED))
    spoil = chance.choice((0.0, 0.02, 0.2))
    end = chance.choice(LINE_ENDS)
    rows = [[chance.choice(cells) for _ in range(width)] for _ in range(chance.randint(0, 60))]
    for row in rows:
        if chance.random() < spoil:
            row[chance.randrange(width)] = chance.choice(SPOILED)
        if chance.random() < spoil:
            row.extend(chance.choices(PLAIN, k=chance.randint(0, 2)))
    header = [chance.choice(("h", '"h"')) for _ in range(width)]
    lines = [",".join(row) + (end if chance.random() > spoil else "\n\n") for row in rows]
    text = ",".join(header) + end + "".join(lines)
    return text if chance.random() > spoil else text[: -chance.randint(1, 4)]


def sent_as_is(blocks: Blocks) -> None:
    """What would be sent as it stands is the same as what a writer of CSV makes of the cells."""
    for block in blocks:
        if not isinstance(block, list):
            rows = [record.fields for record in block.records()]
            written = csv_text([block.column(index) for index in range(len(rows[0]))])
            assert written == "".join(csv_lines(rows)), written


def as_plain(blocks: Blocks) -> list[PlainRecord]:
    """Every record as the machine gives it; the pieces of an overlong line joined."""
    plain: list[PlainRecord] = []
    for block in blocks:
        records: list[Record] = block if isinstance(block, list) else list(block.records())
        for number, line, text, fields, fault, end in records:
            if plain and plain[-1].number == number:
                plain[-1] = plain[-1]._replace(raw=plain[-1].raw + text + end)
                continue
            blame = (str(fault.kind), fault.line, fault.column) if fault else None
            plain.append(PlainRecord(number, line, text + end, None if fault else fields, blame))
    return plain


def round_of(seed: int) -> None:
    """One text, cut in one way. Raises AssertionError where machine and blocks differ."""
    chance = random.Random(seed)
    text = text_of(chance)
    limit = chance.choice((20, 200, 1 << 20))
    size = chance.choice((1, 2, 3, 7, 50, 1 << 16))
    reader = BlockReader(",", limit=limit)
    blocks: Blocks = []
    for at in range(0, len(text), size):
        blocks += reader.feed(text[at : at + size], suspect=chance.random() < 0.5)
    blocks += reader.feed("", final=True)
    sent_as_is(blocks)
    found, expected = as_plain(blocks), read(text, ",", limit)
    assert found == expected, f"seed {seed}: {text!r}\n{found}\n{expected}"


def main() -> None:
    """Run until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    mixed.LEAST = 1
    began, seed = time.monotonic(), asked.seed
    while time.monotonic() - began < asked.seconds:
        round_of(seed)
        seed += 1
    print(f"{seed - asked.seed} texts from seed {asked.seed}: no difference")


if __name__ == "__main__":
    main()
