"""Keep the memory of a decoded image for the next one, in this process."""

import ctypes

# glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD (malloc.h). By default glibc returns the memory of a
# large array to the system when it is freed, and the next array costs a page fault for each 4 KiB:
# of decoding a JPEG of 1,000 x 750 px almost half.
_TRIM, _MMAP = -1, -3
# Photographs of 20 megapixels fit in.
_ARRAY_BYTES = 2**26
_KEPT_BYTES = 2**27


def keep_freed_memory() -> None:
    """Arrays of up to 64 MiB use again what was freed, of which up to 128 MiB are kept. Without
    glibc nothing changes."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_MMAP, _ARRAY_BYTES)
    mallopt(_TRIM, _KEPT_BYTES)
