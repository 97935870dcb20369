"""Outputs for CI servers: JUnit, Markdown, history."""
