"""The workbench: a page in the browser, served from the user's own machine, of a running or a finished run."""
