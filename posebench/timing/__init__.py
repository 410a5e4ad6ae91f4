"""How fast a network is: clocks, the network alone, end to end, and the state of the machine."""
