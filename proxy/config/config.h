/*
 * The configuration in force, checked and plain: what the rest of the proxy sees of it. The schema,
 * with every field's unit, default and range, is proto/turbotls/v1/proxy.proto; the names here are
 * the same.
 *
 * A configuration never changes. It is counted: each connection holds the one it began under, so
 * names and timeouts stay valid for it while the next one is in force.
 */
#ifndef PROXY_CONFIG_CONFIG_H
#define PROXY_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/net/network.h"
#include "proxy/ops/log.h"
#include "proxy/prelude/prelude.h"
#include "tunnel/net/address.h"
#include "turbo/turbo.h"

enum {
    CONFIG_LISTENERS_MAX = 64,
    CONFIG_ROUTES_MAX = 1024, /* of a listener */
    CONFIG_UPSTREAMS_MAX = 1024,
    CONFIG_SERVERS_MAX = 64, /* of an upstream */
    CONFIG_HOST_MAX = 255,   /* bytes of a host name, RFC 1035 §2.3.4 */
    CONFIG_NAME_MAX = 64, /* of a listener, route or upstream; a listener's own address is longer */
    CONFIG_SERVER_NAMES_MAX = 4096, /* of a route, as are the next two */
    CONFIG_ALPN_MAX = 64,
    CONFIG_DIALECTS_MAX = 2,
    CONFIG_NETWORKS_MAX = 1024, /* and of a rule */
    CONFIG_ALPN_BYTES_MAX = 255,
    CONFIG_RULES_MAX = 1024,
    CONFIG_PROXY_NETWORKS_MAX = 256,
    CONFIG_REQUESTED_HOSTS_MAX = 4096, /* of a route */
    CONFIG_REQUESTED_PORTS_MAX = 64,
    CONFIG_REQUESTED_PORT_DEFAULT = 443,
    CONFIG_LOGINS_MAX = 256,      /* of a listener */
    CONFIG_LOGIN_BYTES_MAX = 255, /* RFC 1929 */
    CONFIG_ADMIN_NETWORKS_MAX = 256,
    CONFIG_WEIGHT_MAX = 1000,
    CONFIG_WORKERS_MAX = 64,
    CONFIG_CONNECTIONS_MAX = 1000000,
    CONFIG_SESSIONS_MAX = 65536,
    CONFIG_RATE_MAX = 100000,
    /* Seconds. */
    CONFIG_DRAIN_MAX_S = 86400,
    CONFIG_OPENING_MAX_S = 3600,
    CONFIG_SNIFF_MAX_S = 30,
    CONFIG_HANDSHAKE_MAX_S = 3600,
    CONFIG_IDLE_MAX_S = 604800,
    CONFIG_CONNECT_MAX_S = 600,
};

enum endpoint_kind {
    ENDPOINT_TCP,   /* classic TLS (or anything else) over TCP */
    ENDPOINT_TURBO, /* TurboTLS, and everything ENDPOINT_TCP takes */
};

enum config_proxy_header { CONFIG_PROXY_NONE, CONFIG_PROXY_V1, CONFIG_PROXY_V2 };

/* Which servers TurboTLS is spoken with (protocol §10.1). */
enum config_turbo { CONFIG_TURBO_NEVER, CONFIG_TURBO_AUTO, CONFIG_TURBO_TRY, CONFIG_TURBO_ALWAYS };

/* How a listener's clients say where they want to go. */
enum config_request {
    CONFIG_REQUEST_NONE,
    CONFIG_REQUEST_HTTP_CONNECT,
    CONFIG_REQUEST_SOCKS5,
    CONFIG_REQUEST_REDIRECT,
    CONFIG_REQUEST_TPROXY,
};

struct config_server {
    const char *host; /* a name in lower case, or a literal without brackets */
    uint16_t port;
    uint16_t udp_port; /* equals `port` unless given */
    uint32_t weight;
};

struct config_health {
    uint32_t max_failures;
    double back_off_s, max_back_off_s;
    double check_interval_s; /* 0: none */
    double check_timeout_s;
};

struct config_upstream {
    const char *name;
    enum endpoint_kind kind;
    enum config_turbo turbo;         /* ENDPOINT_TCP: NEVER */
    enum turbo_dialect dialect;      /* ENDPOINT_TURBO */
    enum starttls_protocol starttls; /* ENDPOINT_TCP */
    bool requested; /* there are no servers: connections go where the client asks */
    enum config_proxy_header proxy_header; /* ENDPOINT_TCP */
    double connect_timeout_s;
    struct config_health health;
    const struct config_server *servers;
    size_t server_count;
};

struct config_bytes {
    const uint8_t *data;
    size_t length;
};

/* The hosts that clients may ask for. */
struct config_hosts {
    bool any;                 /* every name and every public address */
    const char *const *names; /* as a route's server_names */
    size_t name_count;
    struct networks networks;
};

/* Is nothing in it, and so all allowed? */
static inline bool config_hosts_all(const struct config_hosts *hosts)
{
    return !hosts->any && hosts->name_count == 0 && hosts->networks.count == 0;
}

struct config_route {
    const char *name;
    /* Lower case, sorted by strcmp; ".example.com" stands for *.example.com. Count 0: any, or none.
     */
    const char *const *server_names;
    size_t server_name_count;
    const struct config_bytes *alpn;
    size_t alpn_count;
    struct networks sources;         /* count 0: any */
    size_t upstream;                 /* its index in the configuration */
    struct config_hosts requested;   /* of listeners with a request; nothing in it: all */
    const uint16_t *requested_ports; /* sorted */
    size_t requested_port_count;     /* 0: all */
    bool opaque;
};

struct config_rule {
    bool allow;
    struct networks networks; /* count 0: any */
};

struct config_listener {
    const char *name;
    enum endpoint_kind kind;
    struct address address; /* [::] when dual_stack */
    bool dual_stack;        /* "*": IPv4 and IPv6; [::] alone is IPv6 only */
    uint16_t udp_port;      /* ENDPOINT_TURBO; same_udp_port: that of the bound TCP port */
    bool same_udp_port;     /* none was given */
    const struct config_route *routes;
    size_t route_count;
    const struct config_rule *rules;
    size_t rule_count;
    enum config_request request;        /* ENDPOINT_TCP */
    const struct prelude_login *logins; /* CONFIG_REQUEST_SOCKS5; count 0: none is asked for */
    size_t login_count;
    enum starttls_protocol starttls; /* ENDPOINT_TCP */
    struct networks proxy_from;      /* who sends a PROXY header; count 0: nobody */
    uint32_t connections_max;        /* 0: no limit of its own */
    uint32_t sessions_max, session_rate, source_rate;
    bool sandwich; /* ENDPOINT_TURBO: clients of that dialect are served as well */
    double opening_timeout_s;
    double sniff_timeout_s;
    double handshake_timeout_s;
    double idle_timeout_s;
    double half_closed_timeout_s;
};

struct config {
    _Atomic unsigned references;  /* workers hold it */
    struct config_memory *memory; /* everything that pointers in here lead to */
    const struct config_listener *listeners;
    size_t listener_count;
    const struct config_upstream *upstreams;
    size_t upstream_count;
    double drain_timeout_s;
    enum log_level log_level;
    enum log_format log_format;
    enum log_target log_target;
    struct address admin; /* empty: no administration by HTTP */
    bool admin_dual_stack;
    struct networks admin_from;
    const char *user, *group; /* NULL: stay */
    bool sandbox;
    uint32_t mark;    /* SO_MARK of the proxy's own connections; 0: none */
    uint32_t workers; /* 0: as many as processors */
};

/* An empty one, held once by the caller. NULL: out of memory. */
struct config *config_create(void);
/* Memory that lives as long as `config`, zeroed. NULL: out of memory. */
void *config_alloc(struct config *config, size_t bytes);
/* A copy of `text` in it. NULL: out of memory. */
const char *config_text(struct config *config, const char *text);

struct config *config_hold(struct config *config);
/* NULL is allowed. */
void config_release(struct config *config);

/* The same address, kind and UDP port, and both for TPROXY or neither: one that is kept when the
 * configuration changes. */
bool config_same_listener(const struct config_listener *a, const struct config_listener *b);

/* Which port two listeners would both take; 0 where the kernel chooses never is. */
enum config_clash { CONFIG_CLASH_NONE, CONFIG_CLASH_TCP, CONFIG_CLASH_UDP };
enum config_clash config_clash(const struct config_listener *a, const struct config_listener *b);

/* The listener as --listen would take it, starttls= aside: "turbo:127.0.0.1:443,udp=8443". Returns
 * `text`. */
enum { CONFIG_LISTEN_TEXT_BYTES = ADDRESS_TEXT_BYTES + 32 };
const char *config_listen_text(const struct config_listener *listener,
                               char text[static CONFIG_LISTEN_TEXT_BYTES]);

#endif
