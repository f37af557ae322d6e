"""The model put together from the axes: likelihood, regularizer, posterior and a pair of networks."""
