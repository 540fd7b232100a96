"""From what is declared to what there is: observe, decide (pure, elsewhere), apply; level-triggered, key by key."""
