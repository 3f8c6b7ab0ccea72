"""What files take on a disk: more than their length."""

_BLOCK = 4096
"""Bytes; what ext4, XFS and Btrfs give out at least, and what a folder takes."""


def occupied(length: int) -> int:
    """Bytes of disk under a file, or a folder, of this length."""
    return -(-length // _BLOCK) * _BLOCK
