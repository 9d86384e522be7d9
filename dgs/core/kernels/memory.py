"""Memory by address, for kernels that walk through more arrays than a call can take.

Passing an array to a kernel costs about as much as copying a small row; an address is a number in a record. Whoever hands out an
address sees to it that the memory stays where it is (`dgs.core.slab.Slab.moves` tells). Nothing is checked here. Values are little
endian and need not be aligned.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from dgs.core.kernels.jit import intrinsic, signature


def _load(context: Any, builder: Any, bits: int, address: Any) -> Any:
    pointer = builder.inttoptr(address, ir.IntType(bits).as_pointer())
    return builder.load(pointer, align=1)


def _store(context: Any, builder: Any, bits: int, address: Any, value: Any) -> Any:
    builder.store(value, builder.inttoptr(address, ir.IntType(bits).as_pointer()), align=1)
    return context.get_dummy_value()


@intrinsic
def load_u1(typing_context: Any, address: Any) -> Any:
    """The uint8 at an address."""
    return signature(types.uint8, types.int64), lambda c, b, s, args: _load(c, b, 8, args[0])


@intrinsic
def load_i4(typing_context: Any, address: Any) -> Any:
    """The int32 at an address."""
    return signature(types.int32, types.int64), lambda c, b, s, args: _load(c, b, 32, args[0])


@intrinsic
def load_i8(typing_context: Any, address: Any) -> Any:
    """The int64 at an address."""
    return signature(types.int64, types.int64), lambda c, b, s, args: _load(c, b, 64, args[0])


@intrinsic
def store_u1(typing_context: Any, address: Any, value: Any) -> Any:
    """Put a uint8 at an address."""
    return signature(types.void, types.int64, types.uint8), lambda c, b, s, args: _store(c, b, 8, *args)


@intrinsic
def store_i4(typing_context: Any, address: Any, value: Any) -> Any:
    """Put an int32 at an address."""
    return signature(types.void, types.int64, types.int32), lambda c, b, s, args: _store(c, b, 32, *args)


@intrinsic
def store_i8(typing_context: Any, address: Any, value: Any) -> Any:
    """Put an int64 at an address."""
    return signature(types.void, types.int64, types.int64), lambda c, b, s, args: _store(c, b, 64, *args)


@intrinsic
def pointer(typing_context: Any, address: Any) -> Any:
    """An address as what `numba.carray` takes."""
    return signature(types.voidptr, types.int64), lambda c, b, s, args: b.inttoptr(args[0], ir.IntType(8).as_pointer())


@intrinsic
def copy(typing_context: Any, to: Any, source: Any, size: Any) -> Any:
    """Copy so many bytes between addresses whose ranges do not overlap."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointers = [builder.inttoptr(a, ir.IntType(8).as_pointer()) for a in args[:2]]
        cgutils.raw_memcpy(builder, pointers[0], pointers[1], args[2], 1, align=1)
        return context.get_dummy_value()

    return signature(types.void, types.int64, types.int64, types.int64), codegen


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Begin to bring what stands at an address near; never fails, wherever that leads."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        where, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [where, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", (where,), kind)
        read, near, data = (ir.Constant(number, n) for n in (0, 3, 1))
        builder.call(function, [builder.inttoptr(args[0], where), read, near, data])
        return context.get_dummy_value()

    return signature(types.void, types.int64), codegen
