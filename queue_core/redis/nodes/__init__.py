"""Redis deployments of several nodes: clusters, and a primary with replicas that sentinels watch."""
