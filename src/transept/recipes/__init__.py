"""Published training recipes as YAML."""
