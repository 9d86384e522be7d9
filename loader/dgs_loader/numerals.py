"""Decimal numerals of a block of text to numbers, whole columns at a time.

Integers and plain decimals are computed with array arithmetic that is exact, so a value equals what `int` and `float` make of the
same text. What is written in another way (a plus sign, spaces, an exponent, many digits) is marked as not understood: the caller
asks the exact parser. Nothing here knows what a number is for.
"""

import numpy as np
from numpy.typing import NDArray

from dgs.core.types import Bools, Bytes, Int64s, UInt64s

_WORD = 8
_WORDS = 3
"""Words of eight digits that are looked at: 24 digits are more than any number here has."""
_ZEROS = np.uint64(0x3030303030303030)
_ABOVE_NINE = np.uint64(0x7676767676767676)
_HIGH_BITS = np.uint64(0x8080808080808080)
_PAIRS = np.uint64(0x000000FF000000FF)
_POWERS: UInt64s = np.array([10**i for i in range(20)], np.uint64)
_FLOAT_POWERS: NDArray[np.float64] = _POWERS.astype(np.float64)
_EXACT_DIGITS = 15
"""A mantissa of so many digits and its power of ten are exact in float64, so their quotient is rounded once: correctly."""
_EXTENDED_DIGITS = 19
"""The same in extended precision (a mantissa of 64 bits), where the machine has it."""
_EXTENDED_POWERS = np.cumprod(np.array([1] + [10] * _EXTENDED_DIGITS, np.longdouble))
_HAS_EXTENDED = np.finfo(np.longdouble).nmant >= 63
_INT64_MAX = np.uint64(2**63 - 1)
_MINUS, _DOT = ord("-"), ord(".")


class Numerals:
    """The numerals of one block. `starts` and `ends` of its methods are offsets into the block: int64 [n] each, ends exclusive.

    Args:
        data: the block; it must end in a newline.
    """

    def __init__(self, data: bytes) -> None:
        self._bytes: Bytes = np.frombuffer(data, np.uint8)
        padded = bytes(_WORD * _WORDS) + data
        # Every offset of the block as the start of an unaligned word: one gather fetches eight digits.
        self._words: UInt64s = np.ndarray((len(padded) - _WORD + 1,), "<u8", padded, strides=(1,))
        self._dots: Int64s = np.append(np.flatnonzero(self._bytes == _DOT), len(data))

    def integers(self, starts: Int64s, ends: Int64s) -> tuple[Int64s, Bools]:
        """Return int64 values [n], and which of them are right: a numeral like 12 or -7 within int64, of at most 19 digits."""
        negative = self._bytes[starts] == _MINUS
        length = ends - starts - negative
        magnitude, ok = self._digits(ends, length)
        sign = negative.astype(np.uint64)
        ok &= (length >= 1) & (length <= 19) & (magnitude <= _INT64_MAX + sign)
        values: Int64s = ((magnitude ^ (np.uint64(0) - sign)) + sign).view(np.int64)
        return values, ok

    def decimals(self, starts: Int64s, ends: Int64s) -> tuple[NDArray[np.float64], Bools, Bools]:
        """Return float64 values [n], which of them are right, and which others are plain decimals too long to be exact here.

        A plain decimal is like 12, -0.5, .25 or 3. and has at most 24 digits on either side of the dot.
        """
        negative = self._bytes[starts] == _MINUS
        first = starts + negative
        dot = self._dots[np.searchsorted(self._dots, first)]
        whole_end = np.minimum(dot, ends)
        whole_length = whole_end - first
        # Without a dot the fraction is the -1 digits behind the end.
        fraction_length = np.maximum(ends - whole_end - 1, 0)
        whole, ok = self._digits(whole_end, whole_length)
        fraction, fraction_ok = self._digits(ends, fraction_length)
        ok &= fraction_ok
        digits = whole_length + fraction_length
        ok &= digits >= 1
        right = ok & (digits <= _EXACT_DIGITS)
        places = np.where(digits <= _EXTENDED_DIGITS, fraction_length, 0)
        mantissa = whole * _POWERS[places] + fraction
        magnitude = mantissa.astype(np.float64) / _FLOAT_POWERS[places]
        longer = np.flatnonzero(ok & ~right & (digits <= _EXTENDED_DIGITS))
        if _HAS_EXTENDED and len(longer):
            magnitude[longer], right[longer] = _quotients(mantissa[longer], places[longer])
        return np.where(negative, -magnitude, magnitude), right, ok & ~right

    def _digits(self, ends: Int64s, lengths: Int64s) -> tuple[UInt64s, Bools]:
        """Return the numbers (modulo 2**64) that the `lengths` characters before `ends` spell, and which are digits only."""
        longest = int(lengths.max(initial=0))
        value, bad = self._eight(ends + _WORD * (_WORDS - 1), np.clip(lengths, 0, _WORD))
        for word in range(1, _WORDS):
            if longest <= _WORD * word:
                break
            more = np.clip(lengths - _WORD * word, 0, _WORD)
            higher, higher_bad = self._eight(ends + _WORD * (_WORDS - 1 - word), more)
            value += higher * _POWERS[_WORD * word]
            bad |= higher_bad
        return value, (bad == 0) & (lengths <= _WORD * _WORDS)

    def _eight(self, at: Int64s, lengths: Int64s) -> tuple[UInt64s, UInt64s]:
        """Return what the last `lengths` (0 to 8) characters of the words at `at` spell, and non-zero where one is no digit.

        The first character of a word is its lowest byte. Characters before the numeral are shifted out, then neighbouring digits
        are joined to pairs, pairs to fours, fours to the whole, in all lanes of the word at once.
        """
        drop = ((_WORD - lengths) * 8).astype(np.uint64)
        x = ((self._words[at] ^ _ZEROS) >> drop) << drop  # a shift by 64 gives 0
        bad = (x | (x + _ABOVE_NINE)) & _HIGH_BITS
        x = x * np.uint64(10) + (x >> np.uint64(8))
        fours = (x & _PAIRS) * np.uint64((10**6 << 32) + 100)
        fours += ((x >> np.uint64(16)) & _PAIRS) * np.uint64((10**4 << 32) + 1)
        return fours >> np.uint64(32), bad


def _quotients(mantissa: UInt64s, places: Int64s) -> tuple[NDArray[np.float64], Bools]:
    """Return mantissa / 10**places in float64, and which of them are surely the nearest.

    The quotient is rounded twice, to extended and to double precision. That goes wrong only where the first rounding ends exactly
    between two doubles: half a unit in the last place away, or a quarter below a power of two.
    """
    extended = mantissa.astype(np.longdouble) / _EXTENDED_POWERS[places]
    nearest = extended.astype(np.float64)
    away = np.abs(extended - nearest)
    unit = np.spacing(nearest)
    return nearest, (away != unit / 2) & (away != unit / 4)
