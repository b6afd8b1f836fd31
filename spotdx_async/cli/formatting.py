"""Numbers in words."""

__all__ = ["counted", "duration"]


def counted(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural where that is due."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Write seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
