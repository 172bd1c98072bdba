"""How a step is taken, again and again: the loop, one step on any device, many processes, and the state to resume from."""
