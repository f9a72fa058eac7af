"""The commands of the README, as someone new would paste them.

usage: readme.py README SECTION       the commands of a section's code blocks, in their
                                      order, but for blocks with a name to be filled in
       readme.py README --with NAME   those of the blocks with that name in them

A block is one of commands if each of its lines begins like one.
"""
import re
import sys

COMMAND = re.compile(r"(sudo|systemctl|curl|sonde|bin/sonde|make) ")
TO_BE_FILLED_IN = "schemaN"


def blocks(text):
    """Gives (section, lines) of each indented block."""
    section, lines = "", []
    for line in text.splitlines() + ["end"]:
        if line.startswith("    "):
            lines.append(line[4:])
            continue
        if lines and line:
            yield section, lines
            lines = []
        if line.startswith("## "):
            section = line[3:]


def main(path, what, name=None):
    with open(path) as f:
        found = [(s, lines) for s, lines in blocks(f.read()) if all(COMMAND.match(x) for x in lines)]
    commands = [x for section, lines in found for x in lines
                if (any(name in y for y in lines) if what == "--with" else
                    section == what and not any(TO_BE_FILLED_IN in y for y in lines))]
    if not commands:
        sys.exit(f"{path}: no commands for {what} {name or ''}")
    print(*commands, sep="\n")


main(*sys.argv[1:])
