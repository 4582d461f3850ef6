# The edges to durable storage: Disk and Store.
