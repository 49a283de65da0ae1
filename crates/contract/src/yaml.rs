//! YAML with positions: typed getters that report what is wrong, where.
