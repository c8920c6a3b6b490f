"""End-to-end tests of the exporter: real mail servers, name servers, Prometheus and Alertmanager."""
