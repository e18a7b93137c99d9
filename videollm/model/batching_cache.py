"""Keys and values of several answers in one cache: a row each, padded on the left to the longest.

A row joins and leaves by copying that row alone, and a step adds a column in place: there is room left for more rows
and columns, and everything is copied only when it is used up or far too large.

Shapes: R rows there is room for, B rows there are, H heads, C columns there is room for, N ids of a row, D width of a
head.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

#: Columns of room for the ids to come.
HEADROOM = 64


class BatchCache:
    """What the language model has read of several answers.

    Attributes:
        lengths: Ids of each row.
    """

    def __init__(self, max_rows: int) -> None:
        """Starts without rows; there are never more than ``max_rows``."""
        self._max_rows = max_rows
        self.clear()

    def clear(self) -> None:
        """Forgets all rows."""
        self.lengths: list[int] = []
        self._layers: list[BatchLayer] = []
        self._cache: Cache | None = None

    @property
    def width(self) -> int:
        """Columns of the longest row."""
        return max(self.lengths, default=0)

    @property
    def nbytes(self) -> int:
        """Bytes of the keys and values, room for more included."""
        return sum(layer.nbytes for layer in self._layers)

    def columns_at_most(self, rows: int, longest: int) -> int:
        """Returns for how many ids of all rows together there is room at most, once all have come to their end.

        Args:
            rows: How many rows there will be.
            longest: Ids of the longest of them.
        """
        return self._roomy(rows) * (longest + HEADROOM)

    def join(self, cache: DynamicCache) -> None:
        """Copies the keys and values of one answer into a new last row; if that fails, the other rows stay.

        Args:
            cache: All of its layers are ``DynamicLayer`` and have read the same ids.
        """
        rows, length = len(self.lengths), cache.get_seq_length()
        read: list[Any] = cache.layers
        layers = self._layers or [BatchLayer(one.keys, one.values) for one in read]
        for layer in layers:
            layer.fit(self._roomy(rows + 1), max(self.width, length), held=(rows, self.width))
        if not self._layers:
            self._layers, self._cache = layers, Cache(layers=list(layers))
        for layer, one in zip(layers, read, strict=True):
            layer.put(rows, one.keys, one.values)
        self.lengths.append(length)
        self._show()

    def leave(self, row: int) -> None:
        """Lets go of a row; the last one takes its place."""
        last = len(self.lengths) - 1
        if row != last:
            for layer in self._layers:
                layer.move(last, row)
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if not self.lengths:
            self.clear()
            return
        self._show()
        for layer in self._layers:
            with suppress(torch.OutOfMemoryError):  # then all stays as it is
                layer.shrink(self._roomy(last), self.width, held=(last, self.width))

    def row(self, row: int) -> DynamicCache:
        """Returns a copy of a row's keys and values, without padding."""
        length = self.lengths[row]
        copied = DynamicCache()
        for index, layer in enumerate(self._layers):
            keys_BHND, values_BHND = layer.keys, layer.values
            copied.update(
                keys_BHND[row : row + 1, :, -length:], values_BHND[row : row + 1, :, -length:], index
            )
        return copied

    def next_inputs(self, device: torch.device) -> dict[str, Any]:
        """Returns what a language model's forward takes to read one more id of each row; then come :meth:`grown`.

        Args:
            device: Where the model is.

        Returns:
            The cache, positions (B, 1) and, if there is padding, an attention mask (B, N + 1).
        """
        rows, width = len(self.lengths), self.width
        for layer in self._layers:
            layer.fit(self._roomy(rows), width, held=(rows, width))
        lengths_B1 = torch.tensor(self.lengths, device=device)[:, None]
        mask_BN = None
        if min(self.lengths) < width:
            mask_BN = (torch.arange(width + 1, device=device) >= width - lengths_B1).long()
        return {"past_key_values": self._cache, "position_ids": lengths_B1, "attention_mask": mask_BN}

    def grown(self) -> None:
        """Takes note that one more id of each row was read."""
        self.lengths = [length + 1 for length in self.lengths]

    def _show(self) -> None:
        for layer in self._layers:
            layer.show(len(self.lengths), self.width)

    def _roomy(self, rows: int) -> int:
        """Rows to make room for, so that not every new one moves all others: the next power of two."""
        return min(self._max_rows, 1 << (rows - 1).bit_length())


class BatchLayer(DynamicLayer):
    """One layer's keys and values, as views into room for more."""

    keys: Any  # Tensor; the base class allows for none
    values: Any

    def __init__(self, keys_1HND: Tensor, values_1HND: Tensor) -> None:
        """Makes an empty layer for keys and values such as these."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype, self.device = keys_1HND.dtype, keys_1HND.device
        self._rooms = (RowRoom(keys_1HND), RowRoom(values_1HND))
        self.show(0, 0)
        self.is_initialized = True

    @property
    def nbytes(self) -> int:
        """Bytes of all the room."""
        return sum(room.nbytes for room in self._rooms)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Adds a column of keys and values and returns all, (B, H, N + 1, D)."""
        width = self.keys.shape[-2]
        for room, new_BH1D in zip(self._rooms, (key_states, value_states), strict=True):
            room.append(new_BH1D)
        self.show(len(key_states), width + key_states.shape[-2])
        return self.keys, self.values

    def show(self, rows: int, columns: int) -> None:
        """Makes the first rows and last columns the layer's keys and values."""
        self.keys, self.values = (room.window(rows, columns) for room in self._rooms)

    def fit(self, rows: int, columns: int, *, held: tuple[int, int]) -> None:
        """Makes room where there is too little; see :meth:`RowRoom.fits`."""
        if not all(room.fits(rows, columns) for room in self._rooms):
            self._lay_out(rows, columns, held)

    def shrink(self, rows: int, columns: int, *, held: tuple[int, int]) -> None:
        """Gives room back where more than half of it is not needed."""
        if all(room.is_vast(rows, columns) for room in self._rooms):
            self._lay_out(rows, columns, held)

    def put(self, row: int, keys_1HND: Tensor, values_1HND: Tensor) -> None:
        """Writes a row."""
        for room, new_1HND in zip(self._rooms, (keys_1HND, values_1HND), strict=True):
            room.put(row, new_1HND)

    def move(self, source: int, target: int) -> None:
        """Writes a row over another one."""
        for room in self._rooms:
            room.move(source, target)

    def _lay_out(self, rows: int, columns: int, held: tuple[int, int]) -> None:
        self.keys = self.values = None  # views, which would keep the old room alive
        try:
            for room in self._rooms:
                room.lay_out(rows, columns, held)
        finally:  # what is held stays, also where memory did not suffice
            self.show(*held)


class RowRoom:
    """Room for rows of one layer's keys or values, all of which end at one column.

    In rows that are in use, columns before the first id are finite: the mask hides them, but not what is not a number.
    """

    def __init__(self, like_1HND: Tensor) -> None:
        """Makes no room yet."""
        _, heads, _, width = like_1HND.shape
        self._room_RHCD = like_1HND.new_zeros(0, heads, 0, width)
        self._end = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all the room."""
        return self._room_RHCD.nbytes

    def fits(self, rows: int, columns: int) -> bool:
        """Whether there is room for so many rows of so many columns, and for one more column."""
        held_rows, _, held_columns, _ = self._room_RHCD.shape
        return rows <= held_rows and columns <= self._end < held_columns

    def is_vast(self, rows: int, columns: int) -> bool:
        """Whether more than half of the room is not needed for so many rows and columns, and headroom."""
        held_rows, _, held_columns, _ = self._room_RHCD.shape
        return 2 * rows * (columns + HEADROOM) < held_rows * held_columns

    def lay_out(self, rows: int, columns: int, held: tuple[int, int]) -> None:
        """Makes new room, for so many rows of so many columns and headroom, and copies what is held into it.

        Args:
            rows: Rows to make room for.
            columns: Columns of the longest of them.
            held: Rows and columns that are in use.
        """
        _, heads, _, width = self._room_RHCD.shape
        room_RHCD = self._room_RHCD.new_zeros(rows, heads, columns + HEADROOM, width)
        room_RHCD[: held[0], :, columns - held[1] : columns] = self.window(*held)
        self._room_RHCD, self._end = room_RHCD, columns

    def window(self, rows: int, columns: int) -> Tensor:
        """Returns a view of the first rows and of the last columns in use."""
        return self._room_RHCD[:rows, :, self._end - columns : self._end]

    def append(self, new_BH1D: Tensor) -> None:
        """Writes one more column of the first rows."""
        rows, _, columns, _ = new_BH1D.shape
        self._room_RHCD[:rows, :, self._end : self._end + columns] = new_BH1D
        self._end += columns

    def put(self, row: int, new_1HND: Tensor) -> None:
        """Writes a row, and zeros before it."""
        first = self._end - new_1HND.shape[2]
        self._room_RHCD[row, :, :first] = 0
        self._room_RHCD[row, :, first : self._end] = new_1HND[0]

    def move(self, source: int, target: int) -> None:
        """Writes a row over another one."""
        self._room_RHCD[target, :, : self._end] = self._room_RHCD[source, :, : self._end]
