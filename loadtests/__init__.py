"""Load tests of the running system: a local stack, a sink that plays the AI and WhatsApp, a plan of faults, and Locust.

`locust -f loadtests/` runs every file below, each as a module under its bare name: so none has an effect when it is
imported (but `locustfile.py`, which registers the listeners), and none has the name of a library.
"""
