"""Jobs: interface of the engine for the command line, the panel and other programs; requests in, events out."""
