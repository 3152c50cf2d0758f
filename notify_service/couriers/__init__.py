"""Who carries out deliveries, one file for each lane."""
