"""A request comes in, events go out. What a command line, a panel or another program drives the engine with."""
