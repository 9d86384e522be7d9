"""The pure core: values, arrays and arithmetic. No I/O, no event loop, no clock, no logging."""
