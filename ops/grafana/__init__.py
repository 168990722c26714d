"""The dashboard for Grafana: its panels, and the JSON that follows from them."""
