# What a service is: its spec, and the catalog of specs and versions.
