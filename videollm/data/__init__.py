"""People's own data: records of conversations about media, and the readers that make them of what people have."""
