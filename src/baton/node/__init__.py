"""The node room: services, their supervision, drain and health. Knows no business of the services it runs."""
