"""Music as data: the tune, its theory, and every pure function of a tune."""
