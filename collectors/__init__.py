"""Measuring lookup tables: pipelines, engines, the sweep planner; modelled tables."""
