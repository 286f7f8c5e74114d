"""Everything that talks to a device; its plain types and ports."""
