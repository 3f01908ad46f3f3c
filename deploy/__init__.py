"""How portfolio-bus is started: on this machine (`deploy.local`), on one machine, on many."""
