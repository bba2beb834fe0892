"""User models with the primary keys that projects have."""
