"""Numbers and times as text."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> counted(1, "epoch"), counted(2000, "epoch")
        ('1 epoch', '2,000 epochs')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """Format a time, to three digits or whole seconds.

    Example:
        >>> duration(0.1234), duration(75.4), duration(7384)
        ('0.123 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def number(value: object) -> str:
    """Format a value for a table: five digits, thousands separators, a dash for None.

    Example:
        >>> number(0.123456789), number(55000), number(None), number("none"), number(True)
        ('0.12346', '55,000', '–', 'none', 'True')
    """
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else significant(value, 5)


def significant(value: float, digits: int = 4) -> str:
    """Return a number as text with that many significant digits, and without an exponent from 1 to a billion.

    Example:
        >>> significant(12.34567), significant(0.00123456), significant(12345.6), significant(99.7, digits=2)
        ('12.35', '0.001235', '12,346', '100')
    """
    text = f"{value:.{digits}g}"
    return f"{value:,.0f}" if 10**digits <= abs(float(text)) < 1e9 else text
