"""Blocks of lines to sent records: parse, agree on dimensions, send; and one input from its first block to its last.

One block is read while another is parsed and sent, so memory holds two blocks and what becomes of one, whatever the size of the
input. It opens nothing and never decides what to do about an error; the command does.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from dgs.core.layout import Dimension, Layouts
from dgs_loader.dead_letters import DeadEvent, DeadLetter, DeadLetterFile
from dgs_loader.parser import Parser
from dgs_loader.progress import Progress
from dgs_loader.reader import Block, Reader
from dgs_loader.sender import Sender


class Dimensions(Protocol):
    """Whoever confirms dimensions: the service."""

    def confirm(self, dimension: Dimension) -> Layouts:
        """Propose a dimension and return the layouts that hold."""


class Pipeline:
    """Sends what is in blocks, those of one input.

    Args:
        parser: of its lines; its layouts are kept up to date.
        dimensions: asked before the first record with a list of unknown dimension is sent.
        sender: of the records.
        letters: for lines that cannot be loaded.
        progress: told after every block.
        close: called when the load is given up, to end a request that another thread still waits for.
    """

    def __init__(
        self,
        parser: Parser,
        dimensions: Dimensions,
        sender: Sender,
        letters: DeadLetterFile,
        progress: Progress,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._parser = parser
        self._dimensions = dimensions
        self._sender = sender
        self._letters = letters
        self._progress = progress
        self._close = close

    async def load(self, reader: Reader) -> None:
        """Load everything that the reader gives; returns when the bus has acknowledged all of it.

        Raises:
            AppendError: the bus took nothing for too long.
            UnreachableError: the service did not confirm a dimension in time.
            OSError: the input cannot be read, or the dead letters cannot be written.
        """
        ahead = asyncio.create_task(asyncio.to_thread(reader.next))
        try:
            while (block := await ahead) is not None:
                ahead = asyncio.create_task(asyncio.to_thread(reader.next))
                await self.send(block)
                self._progress.advance(block.lines, len(block.data), self._letters.count)
        except asyncio.CancelledError:
            self.give_up()
            raise
        finally:
            reader.stop()
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()  # the first failure is the one that is told

    async def send(self, block: Block, letter: Callable[[DeadLetter], DeadLetter | DeadEvent] = lambda letter: letter) -> None:
        """Send the records of a block; returns when the bus has acknowledged them. Errors are those of `load`.

        Args:
            block: of lines.
            letter: makes of the dead letter of a line what is kept.
        """
        for dimension in self._parser.unknown_dimensions(block):
            self._parser.layouts = await asyncio.to_thread(self._dimensions.confirm, dimension)
        for piece in block.pieces(self._parser.lines_max):
            batch, letters = self._parser.parse(piece)
            self._letters.write([letter(found) for found in letters])
            await self._sender.send(batch, self._parser.layouts)

    def give_up(self) -> None:
        """End a request that another thread still waits for."""
        self._close()
