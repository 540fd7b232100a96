"""From what a cluster declares to what there is: watch, queue, reconcile, lead."""
