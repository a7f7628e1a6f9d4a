"""As machine.py beside it."""

POLLIN = 1


class poll:
    def register(self, *_):
        pass

    def ipoll(self, *_):
        return ()
