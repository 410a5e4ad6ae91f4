"""The one exception that a user is meant to see."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can fix: a wrong name, file, option or dataset.

    The command line prints it as one sentence plus the next step and exits with status 2,
    without a traceback.

    Args:
        message: One sentence that says what is wrong, with the offending value.
        hint: What to do next; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class WrongArgument(UserError):
    """An argument whose value was refused; whoever asked may write its name in another way.

    Args:
        argument: Its name in Python.
        told: What is wrong; continues a sentence that begins with the name.
        hint: What to do next.
    """

    def __init__(self, argument: str, told: str, hint: str = "") -> None:
        super().__init__(f"{argument} {told}", hint)
        self.argument, self.told = argument, told

    def spelled(self, name: str) -> UserError:
        """Return the same refusal with the name as the caller writes it."""
        return UserError(f"{name} {self.told}", self.hint)
