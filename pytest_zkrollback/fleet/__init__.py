"""A fleet: ordinary runs of this tool, wave by wave. Imported only where --fleet is given."""
