"""The knowledge base: model, located YAML, loading, checking, graph."""
