"""The main job, shown with real browsers: ``python -m example_project.demo``."""
