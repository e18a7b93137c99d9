"""A queue in which everybody's first piece of work comes before anybody's second."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Work of several owners, taken in rounds: one piece of each owner in turn, an owner's own pieces in their order.

    Max-min fairness in the form of round robin (Nagle, RFC 970): who brings much waits behind who brings little. It is
    no thread's in particular; its user holds a lock.
    """

    def __init__(self) -> None:
        # The owner whose turn comes next stands first.
        self._waiting: OrderedDict[str, deque[Item]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(items) for items in self._waiting.values())

    def __iter__(self) -> Iterator[Item]:
        """Yields what waits in the order in which it will be taken if nothing else comes."""
        left = [deque(items) for items in self._waiting.values()]
        while left:
            for items in left:
                yield items.popleft()
            left = [items for items in left if items]

    def put(self, owner: str, item: Item) -> None:
        """Adds a piece of work behind the others of its owner."""
        self._waiting.setdefault(owner, deque()).append(item)

    def take(self) -> Item:
        """Returns the next piece of work; its owner's turn comes again after all others'.

        Raises:
            IndexError: There is none.
        """
        if not self._waiting:
            raise IndexError("nothing waits")
        owner, items = next(iter(self._waiting.items()))
        item = items.popleft()
        if items:
            self._waiting.move_to_end(owner)
        else:
            del self._waiting[owner]
        return item

    def remove(self, item: Item) -> bool:
        """Takes a piece of work back; returns whether it was still waiting."""
        for owner, items in self._waiting.items():
            place = next((place for place, other in enumerate(items) if other is item), None)
            if place is not None:
                del items[place]
                if not items:
                    del self._waiting[owner]
                return True
        return False

    def count(self, owner: str) -> int:
        """Returns how much of an owner's waits."""
        return len(self._waiting.get(owner, ()))
