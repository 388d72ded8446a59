"""A conversation with a person about a run: they ask, evidence is shown, actions are proposed and wait for approval."""
