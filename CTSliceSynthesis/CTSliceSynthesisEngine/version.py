"""Version of the engine, written into every result."""

VERSION = "0.2.0"
