"""Helpers of the tests: tiny studies and repositories, small data sets, models with known answers."""
