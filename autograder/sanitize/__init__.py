"""Makes a submission's notebook safe to show in a browser, wherever it is opened."""
