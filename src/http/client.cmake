# The client: for probes, webhooks and the command line.
