"""The blocks of the README, as someone new would paste them.

usage: readme.py README LEDGER SECTION       the commands of a section's blocks, in their
                                             order, but for those with a name to be filled in
       readme.py README LEDGER --with NAME   those of the blocks with that name in them
       readme.py README LEDGER --file NAME   the block with that name, which is a file's text
       readme.py README LEDGER --rest        fails if a block was never asked for, and is no
                                             picture

A block is indented by four columns. It is one of commands if each of its lines
begins like one. LEDGER notes the blocks that were asked for: whoever asks runs
them.
"""
import re
import sys

COMMAND = re.compile(r"(sudo|systemctl|curl|sonde|bin/sonde|make) ")
TO_BE_FILLED_IN = "schemaN"

# Blocks that show what is seen, by what they begin with: why nobody pastes them.
PICTURES = {
    "$ sonde events": "what `make demo` shows; it looks for these events itself",
    "# 192.168.10.0/24 on eth0": "what `sonde init` writes; the container's own proposal is taken instead",
}


def blocks(text):
    """Gives (section, lines) of each indented block."""
    section, lines = "", []
    for line in text.splitlines() + ["end"]:
        if line.startswith("    "):
            lines.append(line[4:])
            continue
        if line.startswith("```"):
            sys.exit("a block between fences, which nobody here reads: indent it")
        if lines and line:
            while not lines[-1]:
                lines.pop()
            yield section, lines
            lines = []
        elif lines:
            lines.append("")
        if line.startswith("## "):
            section = line[3:]


def main(path, ledger, what, name=None):
    with open(path) as f:
        found = list(enumerate(blocks(f.read())))
    commands = [b for b in found if all(COMMAND.match(x) for x in b[1][1])]
    if what == "--rest":
        with open(ledger) as f:
            asked = set(f.read().splitlines())
        left = [lines[0] for n, (_, lines) in found
                if str(n) not in asked and not any(lines[0].startswith(p) for p in PICTURES)]
        for line in left:
            print(f"nobody follows the block that begins: {line}")
        print(f"{len(found)} blocks")
        sys.exit(bool(left))
    if what == "--file":
        asked = [b for b in found if any(name in x for x in b[1][1])]
    elif what == "--with":
        asked = [b for b in commands if any(name in x for x in b[1][1])]
    else:
        asked = [b for b in commands
                 if b[1][0] == what and not any(TO_BE_FILLED_IN in x for x in b[1][1])]
    if not asked or what == "--file" and len(asked) != 1:
        sys.exit(f"{path}: {len(asked)} blocks for {what} {name or ''}")
    with open(ledger, "a") as f:
        for n, _ in asked:
            print(n, file=f)
    for _, (_, lines) in asked:
        print("\n".join(lines))


main(*sys.argv[1:])
