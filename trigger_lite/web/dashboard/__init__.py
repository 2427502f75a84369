"""Pages and fragments for people: sign-in, runs, one run, live updates."""
