"""The queue itself: what a webhook, a worker, a monitor and a person do with it. Needs redis and msgspec only."""
