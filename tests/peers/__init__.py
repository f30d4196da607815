"""Real clients and real servers that we did not write, against a real `relay serve`."""
