"""Adds new protocols of registry/protocols.yaml to registry/protocols.lock.

Released protocols never change: the tool refuses an edited one and says what to do instead.

    python tools/lock_protocols.py
"""

from __future__ import annotations

import sys

from posebench.registry import shipped_registry
from posebench.registry.lock import write_lock
from posebench.types.errors import UserError


def main() -> int:
    """Lock the new protocols; return the exit status."""
    try:
        new = write_lock(shipped_registry().protocols)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"locked {', '.join(new)}" if new else "nothing new to lock")
    return 0


if __name__ == "__main__":
    sys.exit(main())
