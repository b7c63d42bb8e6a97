# Azure Load Balancer, Standard: two rules, for TCP and UDP, that both hash the client's and the service's address alone.
# The machines of the pool, their network and network security group (TCP and UDP 443 in) are yours.

variable "resource_group_name" { type = string }
variable "location" { type = string }

resource "azurerm_public_ip" "edges" {
  name                = "turbotls-edges"
  resource_group_name = var.resource_group_name
  location            = var.location
  allocation_method   = "Static"
  sku                 = "Standard"
}

resource "azurerm_lb" "edges" {
  name                = "turbotls-edges"
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = "Standard"

  frontend_ip_configuration {
    name                 = "public"
    public_ip_address_id = azurerm_public_ip.edges.id
  }
}

resource "azurerm_lb_backend_address_pool" "edges" {
  name            = "edges"
  loadbalancer_id = azurerm_lb.edges.id
}

# One probe for both rules: were there two, an edge could be in one pool and out of the other, and a client's UDP and
# TCP would part. It asks the edge's `admin` listener, which must allow 168.63.129.16.
resource "azurerm_lb_probe" "ready" {
  name                = "ready"
  loadbalancer_id     = azurerm_lb.edges.id
  protocol            = "Http"
  port                = 9443
  request_path        = "/readyz"
  interval_in_seconds = 5
}

resource "azurerm_lb_rule" "edges" {
  for_each                       = toset(["Tcp", "Udp"])
  name                           = "turbotls-${lower(each.key)}"
  loadbalancer_id                = azurerm_lb.edges.id
  protocol                       = each.key
  frontend_port                  = 443
  backend_port                   = 443
  frontend_ip_configuration_name = "public"
  backend_address_pool_ids       = [azurerm_lb_backend_address_pool.edges.id]
  probe_id                       = azurerm_lb_probe.ready.id
  # "Client IP" in the portal: 2-tuple. Not SourceIPProtocol ("Client IP and protocol"), which parts TCP from UDP.
  load_distribution = "SourceIP"
}
