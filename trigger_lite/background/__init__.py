"""Everything that happens without a request: the clock, its loops, the dispatcher, the watch over runs."""
