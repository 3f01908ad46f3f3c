"""A quick start: while a program is imported nothing of it is garbage, and looking for some takes a sixth of the time.

Imported before everything else by what is run as a program; ended by whoever is about to work.
"""

import gc

gc.disable()


#: objects made and not freed until the garbage collector looks at them; Python's own is 700
_COLLECTED_AFTER = 10_000


def end() -> None:
    """Look for garbage from now on, and leave out what was imported: it stays until the end."""
    gc.freeze()
    gc.enable()


def keep_what_is_there() -> None:
    """Have the garbage collector pass over all that was loaded and built: none of it will ever be garbage."""
    gc.collect()
    gc.freeze()
    # A batch makes thousands of objects that go with it: the usual threshold looks through them many times.
    gc.set_threshold(_COLLECTED_AFTER)
