"""Load tests of the running system: a local stack, a sink that plays the AI and WhatsApp, a plan of faults, and Locust.

Helpers begin with an underscore, because `locust -f loadtests/` loads every other file as a module of its own.
"""
