"""Saves merges as files and folders."""
