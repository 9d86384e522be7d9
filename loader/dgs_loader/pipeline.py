"""One input from its first block to its last: read, parse, agree on dimensions, send.

One block is read while another is parsed and sent, so memory holds two blocks and what becomes of one, whatever the size of the
input. It opens nothing and never decides what to do about an error; the command does.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from dgs.core.layout import Dimension, Layouts
from dgs_loader.dead_letters import DeadLetterFile
from dgs_loader.parser import Parser
from dgs_loader.progress import Progress
from dgs_loader.reader import Block, Reader
from dgs_loader.sender import Sender


class Dimensions(Protocol):
    """Whoever confirms dimensions: the service."""

    def confirm(self, dimension: Dimension) -> Layouts:
        """Propose a dimension and return the layouts that hold."""


class Pipeline:
    """Loads one input.

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
                await self._block(block)
        except asyncio.CancelledError:
            self._close()
            raise
        finally:
            reader.stop()
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()  # the first failure is the one that is told

    async def _block(self, block: Block) -> None:
        for dimension in self._parser.unknown_dimensions(block):
            self._parser.layouts = await asyncio.to_thread(self._dimensions.confirm, dimension)
        for piece in block.pieces(self._parser.lines_max):
            batch, letters = self._parser.parse(piece)
            self._letters.write(letters)
            await self._sender.send(batch, self._parser.layouts)
            self._progress.advance(piece.lines, len(piece.data), self._letters.count)
