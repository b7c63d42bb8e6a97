# Google Cloud, external passthrough Network Load Balancer: one backend service for both protocols, hashed by the client's
# and the service's address (2-tuple). The instance group, its network and firewall (TCP and UDP 443 in, and the ranges of
# the health checks to 9443) are yours.

variable "region" { type = string }
variable "instance_group" { type = string }

resource "google_compute_region_health_check" "ready" {
  name                = "turbotls-ready"
  region              = var.region
  check_interval_sec  = 2
  timeout_sec         = 1
  unhealthy_threshold = 2

  # The edge's `admin` listener, which must allow the ranges of the health checks.
  http_health_check {
    port         = 9443
    request_path = "/readyz"
  }
}

resource "google_compute_region_backend_service" "edges" {
  name                  = "turbotls-edges"
  region                = var.region
  load_balancing_scheme = "EXTERNAL"
  # TCP and UDP by one service: two could differ in which edges are healthy.
  protocol         = "UNSPECIFIED"
  session_affinity = "CLIENT_IP"
  health_checks    = [google_compute_region_health_check.ready.id]

  backend {
    group          = var.instance_group
    balancing_mode = "CONNECTION"
  }
}

resource "google_compute_address" "edges" {
  name   = "turbotls-edges"
  region = var.region
}

resource "google_compute_forwarding_rule" "edges" {
  name                  = "turbotls-edges"
  region                = var.region
  load_balancing_scheme = "EXTERNAL"
  ip_address            = google_compute_address.edges.address
  ip_protocol           = "L3_DEFAULT"
  all_ports             = true
  backend_service       = google_compute_region_backend_service.edges.id
}
