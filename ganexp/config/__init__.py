"""Configuration: resolvers, schema, validation and error messages, all without torch."""
