"""The exporter on a street of real mail servers, watched by a real Prometheus."""
