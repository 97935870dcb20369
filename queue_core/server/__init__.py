"""Deployment: settings, web app, worker, monitor, and the commands that run them."""
