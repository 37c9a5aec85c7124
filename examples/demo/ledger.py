"""The coordinator's books: which chunk is where, which came back, which must go out again.

No clock and no I/O in here: the caller passes the time in. A chunk number names one chunk of one pass over
the text (`number = pass * chunks + index`), is handed out until somebody acknowledges it, and counts once.
"""

from collections import Counter, deque
from dataclasses import dataclass, field


@dataclass
class Service:
    """One counting actor on a worker node."""

    name: str
    node: str
    window: int
    proxy: int | None = None  # the local actor that forwards to it; none while it is away
    suspect: bool = False  # let a chunk pass its time; gets nothing new until it answers or is resolved again
    held: dict[int, float] = field(default_factory=dict)  # chunk number -> when it was handed out

    @property
    def has_room(self) -> bool:
        return self.proxy is not None and not self.suspect and len(self.held) < self.window


class Ledger:
    """Hands out chunk numbers and takes acknowledgements."""

    def __init__(self, chunks: int, services: list[Service]):
        self.chunks = chunks
        self.services = {service.name: service for service in services}
        self.again: deque[int] = deque()
        self.next = 0
        self.last_pass: int | None = None
        self.done: set[int] = set()
        self.tally: Counter[str] = Counter()

    def finish(self) -> None:
        """Start no further pass; complete those that have begun."""
        self.last_pass = max(self.next - 1, 0) // self.chunks

    @property
    def finished(self) -> bool:
        return self.last_pass is not None and len(self.done) == (self.last_pass + 1) * self.chunks

    def assign(self, now: float):
        """Yield (service, number) for everything that may go out now."""
        rooms = sorted(self.services.values(), key=lambda service: len(service.held))
        for service in rooms:
            while service.has_room and (number := self._next_number()) is not None:
                service.held[number] = now
                self.tally["sent"] += 1
                yield service, number

    def acknowledge(self, name: str, number: int) -> bool:
        """Take the answer of a service; whether it is the first one for this chunk."""
        service = self.services[name]
        service.suspect = False
        for holder in self.services.values():
            holder.held.pop(number, None)
        first = number not in self.done
        self.done.add(number)
        self.tally["counted" if first else "duplicates"] += 1
        return first

    def overdue(self, now: float, patience: float) -> list[tuple[str, int]]:
        """Take back what nobody acknowledged in time; says from which service which chunk."""
        late = []
        for service in self.services.values():
            for number in [number for number, since in service.held.items() if now - since > patience]:
                service.suspect = True
                self._take_back(service, number)
                late.append((service.name, number))
        self.tally["overdue"] += len(late)
        return late

    def lost(self, name: str) -> list[tuple[str, int]]:
        """The service is gone: take back all that it held; says which chunks those were."""
        service = self.services[name]
        service.proxy = None
        held = list(service.held)
        for number in held:
            self._take_back(service, number)
        return [(name, number) for number in held]

    def back(self, name: str, proxy: int) -> None:
        """The service was found (again) and is reached through `proxy`."""
        service = self.services[name]
        service.proxy, service.suspect = proxy, False

    def held_by(self, node: str) -> int:
        """How many chunks the services of a node hold."""
        return sum(len(service.held) for service in self.services.values() if service.node == node)

    def _take_back(self, service: Service, number: int) -> None:
        del service.held[number]
        self.again.append(number)
        self.tally["reissued"] += 1

    def _next_number(self) -> int | None:
        while self.again:
            if (number := self.again.popleft()) not in self.done:
                return number
        if self.last_pass is not None and self.next >= (self.last_pass + 1) * self.chunks:
            return None
        self.next += 1
        return self.next - 1
