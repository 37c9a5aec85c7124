"""The table of the Python interface names nothing that does not work, and leaves out nothing that does."""

import dataclasses
import re
from inspect import ismodule
from pathlib import Path

import pytest

import myrmidon
import myrmidon.testing

PAGE = Path(__file__).resolve().parents[1] / "python" / "api.md"
ROW = re.compile(r"^\| `([\w.]+)(\([^`]*\))?` \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))
# What the first word of a name in the table is.
OWNERS = {
    "rt": myrmidon.Runtime,
    "ref": myrmidon.ActorRef,
    "supervisor": myrmidon.Supervisor,
    "actor": myrmidon.Actor,
    "child": myrmidon.Child,
    "probe": myrmidon.testing.Probe,
    "testing": myrmidon.testing,
    "errors": myrmidon.errors,
    "codec": myrmidon.codec,
    "mailbox": myrmidon.Mailbox,
    "reply": myrmidon.Reply,
    "told": myrmidon.PySystemMessage,
    "reason": myrmidon.ExitReason,
    "info": myrmidon.ActorInfo,
    "bonds": myrmidon.ActorBonds,
    "row": myrmidon.ChildInfo,
    "letter": myrmidon.DeadLetter,
    "watch": myrmidon.DeadLetterWatch,
    "event": myrmidon.NodeEvent,
    "node": myrmidon.NodeInfo,
    "buffer": myrmidon.Buffer,
    "sim": myrmidon.testing.Simulation,
}


def test_the_table_is_there():
    assert len(ROWS) > 80


@pytest.mark.parametrize(("name", "arguments", "text"), ROWS, ids=[row[0] for row in ROWS])
def test_a_name_in_the_table_works(name, arguments, text):
    owner, _, rest = name.partition(".")
    thing = OWNERS.get(owner, myrmidon) if rest else myrmidon
    for part in (rest or owner).split("."):
        thing = getattr(thing, part)
    if not isinstance(thing, type):
        assert callable(thing) == bool(arguments), f"whether {name} is called"
    assert text


def test_every_public_name_is_in_the_table():
    named = {row[0] for row in ROWS}
    missing = [name for name in public(myrmidon) if name not in named and not ismodule(getattr(myrmidon, name))]
    for owner, thing in OWNERS.items():
        missing += [f"{owner}.{name}" for name in public(thing) if not named & {name, f"{owner}.{name}"}]
    assert missing == []


def public(owner):
    """The names of a module or a class, but for fields, which are arguments of the constructor."""
    names = owner.__all__ if ismodule(owner) else dir(owner)
    fields = {field.name for field in dataclasses.fields(owner)} if dataclasses.is_dataclass(owner) else set()
    return [name for name in names if not name.startswith("_") and name not in fields]
