"""A request comes in, events go out: what the command line, the panel and other programs drive the engine with."""
