"""The end of the demo: what must hold, and the table of what happened."""

from collections import Counter

from screen import Screen


def checks(outcome: dict, direct: Counter, facts: dict) -> list[tuple[str, bool]]:
    """Everything that the demo claims, each with whether it held."""
    passes, versions, tally = outcome["totals"], outcome["versions"], outcome["tally"]
    return [
        (f"each of the {len(passes)} passes has exactly the words of the direct count", all_equal(passes, direct)),
        ("every chunk counted once", tally["counted"] == len(passes) * outcome["chunks"]),
        ("both versions of the code counted chunks", all(versions.get(version, 0) > 0 for version in "12")),
        ("the versions agree on every chunk both counted", outcome["disagreements"] == 0 and outcome["compared"] > 0),
        ("both nodes counted chunks", all(outcome["nodes"].values()) and len(outcome["nodes"]) == 2),
        ("the killed process held chunks, and they were counted elsewhere", facts["lost_in_flight"] > 0),
        ("the loss was noticed, and the services were found again", "noticed_at" in facts and "healed_at" in facts),
        ("every process ended when it was told to", facts["ended_well"]),
    ]


def all_equal(passes: list[dict], direct: Counter) -> bool:
    return bool(passes) and all(words == direct for words in passes)


def show(screen: Screen, outcome: dict, facts: dict, checks: list[tuple[str, bool]]) -> None:
    tally, seconds, chunks = outcome["tally"], facts["seconds"], outcome["chunks"]
    megabytes = facts["megabytes"] * len(outcome["totals"])
    screen.title(f"Summary ({facts['transport']})")
    screen.row("chunks counted", f"{tally['counted']:,} = {len(outcome['totals'])} passes of {chunks}")
    for node, count in sorted(outcome["nodes"].items()):
        screen.row(f"  by {node}", f"{count:,}")
    for version, count in sorted(outcome["versions"].items()):
        screen.row(f"  by version {version} of the code", f"{count:,}")
    screen.row("chunks sent", f"{tally['sent']:,}")
    screen.row("lost in flight with the process", f"{facts['lost_in_flight']:,}")
    screen.row("issued again", f"{tally.get('reissued', 0):,} ({tally.get('overdue', 0):,} of them overdue)")
    screen.row("duplicates ignored", f"{tally.get('duplicates', 0):,}")
    screen.row("time to notice the loss", f"{facts['noticed_at'] - facts['killed_at']:.2f} s")
    screen.row("time to heal, restart included", f"{facts['healed_at'] - facts['killed_at']:.2f} s")
    screen.row("rate", f"{tally['counted'] / seconds:,.0f} chunks/s, {megabytes / seconds:.1f} MB/s of text")
    screen.title("Checks")
    for text, holds in checks:
        screen.check(text, holds)


def progress_line(state: dict, chunks: int, rate: float) -> str:
    turn, within = divmod(state["counted"], chunks)
    bar = "#" * (within * 16 // chunks)
    held = " + ".join(str(count) for _, count in sorted(state["held"].items()))
    return f"  pass {turn + 1:>2} [{bar:<16}]  {state['counted']:>6,} chunks  {rate:>5,.0f}/s  {held} at the workers"
