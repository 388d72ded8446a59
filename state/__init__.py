"""What a run is: configuration, typed records, the artefact store, the event log, the run directory."""
