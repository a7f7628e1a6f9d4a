"""Names for type checkers only; nothing imports this module at run time."""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    Buffer = bytes | bytearray | memoryview
    OnRecord = Callable[[int, int, bytearray, int, int], None]
    OnFrame = Callable[[bytearray, int, int], None]
    OnText = Callable[[bytearray, int], None]
    OnState = Callable[[int], None]
    Write = Callable[[bytearray, int], object]

    class Ring(Protocol):
        """What the I-Bus scanner needs of a ring: any object with these three."""

        def available(self) -> int: ...

        def peek(self, n: int) -> int: ...

        def remove(self, n: int) -> int: ...
