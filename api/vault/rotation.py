"""A new key for the vault, in two steps, because processes that run hold the old public half.

`rotate` makes a new pair, keeps the old private half beside it, and wraps every key anew. Once every process was
started again, `retire` wraps what the old ones still wrapped, and destroys the old half: copies of wrapped keys in
backups, and on worn disks, are then noise, those of erased tables included.
"""

from __future__ import annotations

import os
import secrets

from api.settings import Settings
from api.vault.errors import VaultError
from api.vault.vault import OLDER, PRIVATE, PUBLIC, open_vault, prepare_keys


def rotate(settings: Settings) -> int:
    """Make a new pair and wrap every key for it; how many. A rotation that was interrupted is gone on with."""
    folder = settings.keys_folder
    if not (folder / OLDER).exists():
        os.rename(folder / PRIVATE, folder / OLDER)
    (folder / PUBLIC).unlink(missing_ok=True)
    prepare_keys(folder)
    return open_vault(settings, private=True).keys.rewrap()


def retire(settings: Settings) -> int:
    """Wrap every key once more, and destroy the old private half; how many. Raises VaultError where there is none."""
    older = settings.keys_folder / OLDER
    if not older.exists():
        raise VaultError(
            "There is no old key to retire.", why="One is there between a rotation and its end.", fix="Rotate first."
        )
    count = open_vault(settings, private=True).keys.rewrap()
    with older.open("r+b") as file:
        file.write(secrets.token_bytes(older.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    older.unlink()
    return count
