"""`make faults`: everything is killed, stopped and cut off under load, and every item is accounted for afterwards.

A driver plays all that is outside of the system and writes what it asked for and was told into a ledger. A nemesis
breaks things at random moments. Once all has come to rest, a checker reads topics, databases, the subscribers' record
and the ledger, and looks for what any of the promises P1 to P9 forbids.
"""
