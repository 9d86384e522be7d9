"""How kernels are compiled and cached.

numba's cache does not notice that a callee in another file has changed, so the folder of the cache is named by a hash of all kernel
sources: an upgrade never runs stale machine code. Set NUMBA_CACHE_DIR to move the cache; it must be writable, else kernels are
compiled at every start.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import types
from numba.core.typing.templates import signature as _signature
from numba.extending import intrinsic as _intrinsic

signature: Callable[..., Any] = _signature
intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = _intrinsic
F = TypeVar("F", bound=Callable[..., Any])


def _cache_folder() -> Path:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.blake2b(b"".join(p.read_bytes() for p in sources), digest_size=8).hexdigest()
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "dgs-kernels" / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="dgs-kernels-"))
    return folder


CACHE_FOLDER = _cache_folder()
"""Where compiled kernels are kept."""
setattr(numba.config, "CACHE_DIR", str(CACHE_FOLDER))  # noqa: B010 - numba makes its settings at run time

COMPILED: list[Any] = []
"""Every kernel's dispatcher, so that a test can assert that running adds no signature after warming."""


def kernel(function: F) -> F:
    """Compile a function: cached, without the GIL, no fused multiply-add (IEEE arithmetic as written)."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    COMPILED.append(compiled)
    result: F = compiled
    return result


@intrinsic
def float_bits(typing_context: Any, x: Any) -> Any:
    """The bits of a float64 as uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.uint64))

    return signature(types.uint64, types.float64), codegen


@intrinsic
def bits_float(typing_context: Any, x: Any) -> Any:
    """The float64 of these 64 bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return signature(types.float64, types.uint64), codegen
